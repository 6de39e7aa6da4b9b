//! Exit codes besides a command's own; those of sysexits.h where it has a fitting one.

/// All went well.
pub const SUCCESS: u8 = 0;
/// It was refused, nobody answered, or the answer could not be written.
pub const FAILURE: u8 = 1;
/// The command line was wrong, as where its parser says so.
pub const USAGE: u8 = 2;
/// No node of the service answered (`EX_UNAVAILABLE`).
pub const UNREACHABLE: u8 = 69;
/// The operating system did not let the command be started (`EX_OSERR`).
pub const OS_ERROR: u8 = 71;
/// Somebody else held the lock for the whole wait (`EX_TEMPFAIL`).
pub const NOT_ACQUIRED: u8 = 75;
/// The lock was lost and the command was ended.
pub const LOST: u8 = 76;
/// The service refused: credential, right, or a value beyond a limit (`EX_NOPERM`).
pub const REFUSED: u8 = 77;
/// The settings of the connection cannot be used (`EX_CONFIG`).
pub const CONFIG: u8 = 78;
/// The lock was lost and the command could not be ended: it still runs.
pub const STILL_RUNNING: u8 = 79;
/// The command was found and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;
/// Plus the number of the signal that ended the command.
pub const SIGNAL: u8 = 128;
