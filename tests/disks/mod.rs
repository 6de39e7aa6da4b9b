//! Disks that lie, fill up, or go away.

mod directory;
