//! Terraform and OpenTofu: the locking of their `http` backend. The state itself is kept elsewhere.

pub mod rest;
