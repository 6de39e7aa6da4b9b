//go:build !linux

package latchd

import "time"

var started = time.Now()

// now reads the clock of the Go runtime, which may stand still while the machine is suspended.
func now() moment {
	return moment(time.Since(started))
}
