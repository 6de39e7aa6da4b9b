//! The files that the pages need, and the policy that keeps everything else out of them.

/// A browser may load only our own files, nothing inline, and no frame may embed a page.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A compiled-in file.
#[derive(Clone, Copy)]
pub struct Asset {
    pub path: &'static str,
    pub content_type: &'static str,
    pub content: &'static str,
}

pub const STYLE: Asset = Asset {
    path: "/ui/console.css",
    content_type: "text/css; charset=utf-8",
    content: include_str!("assets/console.css"),
};

pub const SCRIPT: Asset = Asset {
    path: "/ui/console.js",
    content_type: "text/javascript; charset=utf-8",
    content: include_str!("assets/console.js"),
};

pub const ICON: Asset =
    Asset { path: "/favicon.svg", content_type: "image/svg+xml", content: include_str!("assets/favicon.svg") };

pub const ALL: [Asset; 3] = [STYLE, SCRIPT, ICON];
