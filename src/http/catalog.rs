//! The dialects and the gRPC services that were declared.

use crate::domain::{Dialect, HoldKey};

/// How the holds of a dialect are stored and shown.
#[derive(Clone, Copy)]
pub struct HoldDialect {
    /// The number in the log and in snapshots.
    pub id: Dialect,
    /// Its title in the console.
    pub title: &'static str,
    /// The key of a hold on the lock of this name, as the dialect's clients know it.
    pub write_key: fn(HoldKey, &str) -> String,
}

/// A gRPC service.
#[derive(Clone, Copy)]
pub struct GrpcService {
    /// With its package, as paths name it.
    pub name: &'static str,
    /// Its file and what that imports, as a `FileDescriptorSet`.
    pub descriptors: &'static [u8],
}

/// The dialects and services of one server.
#[derive(Default)]
pub struct Catalog {
    pub dialects: Vec<HoldDialect>,
    /// In the order in which reflection lists them.
    pub services: Vec<GrpcService>,
}

impl Catalog {
    pub fn has_service(&self, name: &str) -> bool {
        self.services.iter().any(|service| service.name == name)
    }

    pub fn title(&self, dialect: Dialect) -> &'static str {
        self.find(dialect).map_or(dialect.as_str(), |known| known.title)
    }

    /// The key of a hold in the format that its holder knows.
    pub fn written_key(&self, dialect: Dialect, key: HoldKey, lock: &str) -> String {
        self.find(dialect).map_or_else(|| key.to_string(), |known| (known.write_key)(key, lock))
    }

    fn find(&self, dialect: Dialect) -> Option<&HoldDialect> {
        self.dialects.iter().find(|known| known.id == dialect)
    }
}
