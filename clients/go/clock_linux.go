package latchd

import (
	"syscall"
	"time"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME, which package syscall does not name.
const clockBoottime = 7

var started = time.Now()

// now reads the clock that also counts the time in which the machine is suspended.
func now() moment {
	var read syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&read)), 0)
	if failed != 0 {
		// A sandbox may forbid it, and then does so always.
		return moment(time.Since(started))
	}
	return moment(read.Nano())
}
