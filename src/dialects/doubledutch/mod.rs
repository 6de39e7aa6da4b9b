//! DoubleDutch: `/getlock` and `/releaselock` in the style of MySQL's GET_LOCK.

pub mod rest;
