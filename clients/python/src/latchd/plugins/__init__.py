"""latchd where a program chooses its lock by name. Each module needs the library that it serves."""
