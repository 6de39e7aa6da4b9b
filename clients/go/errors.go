package latchd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors for [errors.Is].
var (
	// ErrNotAcquired: the time to wait is over without the lock. See [NotAcquiredError].
	ErrNotAcquired = errors.New("latchd: the lock was not to be had")
	// ErrFrozen: an operator has frozen the lock, and the freeze outlasts the wait. It is an ErrNotAcquired too. See
	// [FrozenError].
	ErrFrozen = errors.New("latchd: the lock is frozen")
	// ErrWouldDeadlock: the wait could not end, and was refused. It is an ErrNotAcquired too. See [WouldDeadlockError].
	ErrWouldDeadlock = errors.New("latchd: to wait would be a deadlock")
	// ErrLockLost: the lock was lost, so what was done under it may not have been protected to the end. See
	// [LockLostError].
	ErrLockLost = errors.New("latchd: the lock was lost")
	// ErrRefused: the service understood and will not do it. See [RefusedError].
	ErrRefused = errors.New("latchd: the service refused")
	// ErrUnreachable: no node gave an answer, or only that it cannot work now. See [UnreachableError].
	ErrUnreachable = errors.New("latchd: the service cannot be reached")
	// ErrReleased: the hold was released, or given to another session. It is the cause of the end of [Hold.Context] then.
	ErrReleased = errors.New("latchd: the hold is released")
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("latchd: the client is closed")
	// ErrNoLeader: nobody leads the election.
	ErrNoLeader = errors.New("latchd: nobody leads the election")
)

// NotAcquiredError says that the time to wait is over without the lock: others held it, or no answer came.
type NotAcquiredError struct {
	// Name of the lock that was not free; of several, the first that others hold.
	Name string
	// Holders just after, oldest first; empty where nobody held it any more, or where they may not be seen.
	Holders []Holder
	// QueueLength is how many waited for it.
	QueueLength int
	// Note is what else is known, such as that this client itself holds the lock.
	Note string
	// Cause is what ended the wait, if it was not its time: the end of the context, or an error of the last attempt.
	Cause error
}

// Error names the holders.
func (e *NotAcquiredError) Error() string {
	message := fmt.Sprintf("latchd: %q was not to be had", e.Name)
	note := e.Note
	if len(e.Holders) > 0 {
		shown := make([]string, 0, 4)
		for _, holder := range e.Holders[:min(3, len(e.Holders))] {
			shown = append(shown, holder.String())
		}
		held := strings.Join(shown, "; ")
		if more := len(e.Holders) - 3; more > 0 {
			held += fmt.Sprintf(" and %d more", more)
		}
		verb := "wait"
		if e.QueueLength == 1 {
			verb = "waits"
		}
		message += fmt.Sprintf(": held by %s; %d %s for it", held, e.QueueLength, verb)
	} else if note == "" && e.Cause != nil {
		note = e.Cause.Error()
	} else if note == "" {
		note = "others held it or waited for it"
	}
	if note != "" {
		message += " (" + note + ")"
	}
	return message
}

// Is tells that it is an [ErrNotAcquired].
func (e *NotAcquiredError) Is(target error) bool { return target == ErrNotAcquired }

// Unwrap gives the cause.
func (e *NotAcquiredError) Unwrap() error { return e.Cause }

// FrozenError says that an operator has frozen the lock, and that the freeze outlasts the wait. It wraps a [NotAcquiredError],
// which has those who hold the lock meanwhile.
type FrozenError struct {
	NotAcquiredError
	// Freeze has the reason and the end.
	Freeze Freeze
}

func newFrozen(name string, freeze Freeze) *FrozenError {
	return &FrozenError{NotAcquiredError{Name: name, Note: freeze.String()}, freeze}
}

// Is tells that it is an [ErrFrozen].
func (e *FrozenError) Is(target error) bool { return target == ErrFrozen }

// Unwrap gives the [NotAcquiredError].
func (e *FrozenError) Unwrap() error { return &e.NotAcquiredError }

// WouldDeadlockError says that the service will not wait, because the wait could not end. Release something, or take all of
// the locks at once.
type WouldDeadlockError struct {
	// Name of the lock that was asked for.
	Name string
	// Cycle is who waits for whom: each for the next, and the last for the first. Empty for a campaign in an election.
	Cycle []BlockedBy
}

// Error names the cycle.
func (e *WouldDeadlockError) Error() string {
	message := fmt.Sprintf("latchd: %q was not to be had: to wait would be a deadlock", e.Name)
	for n, step := range e.Cycle {
		separator := "; "
		if n == 0 {
			separator = ": "
		}
		message += separator + step.String()
	}
	return message
}

// Is tells that it is an [ErrWouldDeadlock] and an [ErrNotAcquired].
func (e *WouldDeadlockError) Is(target error) bool {
	return target == ErrWouldDeadlock || target == ErrNotAcquired
}

// LockLostError says that a lock was lost.
type LockLostError struct {
	// Name of the lock; of several, the first.
	Name string
	// Why it counts as lost.
	Why string
}

// Error says why.
func (e *LockLostError) Error() string { return fmt.Sprintf("latchd: %q was lost: %s", e.Name, e.Why) }

// Is tells that it is an [ErrLockLost].
func (e *LockLostError) Is(target error) bool { return target == ErrLockLost }

// RefusedError says that the service understood and will not do it: a credential, a right, a limit, a wrong value.
type RefusedError struct {
	// Message of the service.
	Message string
	// Status of the HTTP answer; 200 where the refusal stood in an answer.
	Status int
	// Code is the service's name for it, such as LockSizeMismatch, where it has one.
	Code string
	// What it means for this client.
	kind refusal
}

// Error is the message of the service.
func (e *RefusedError) Error() string { return "latchd: " + e.Message }

// Is tells that it is an [ErrRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// UnreachableError says that no node of the service gave an answer, or only that it cannot work now.
type UnreachableError struct {
	// Message says what happened at which URL.
	Message string
	// RetryAfter is the pause that the service asks for; 0 where it does not. A retry that would come too late is not made.
	RetryAfter time.Duration
	// Code is the service's name for the reason, such as rate-exceeded or share-full, where it gave one.
	Code string
	// What the network or the other end of TLS said, if it was that.
	cause error
	// Whether a retry cannot help.
	final bool
	// Whether there was no time for an answer.
	cutShort bool
}

// Error says what happened at which URL.
func (e *UnreachableError) Error() string { return "latchd: " + e.Message }

// Is tells that it is an [ErrUnreachable].
func (e *UnreachableError) Is(target error) bool { return target == ErrUnreachable }

// Unwrap gives the error of the network, such as a [crypto/tls.CertificateVerificationError].
func (e *UnreachableError) Unwrap() error { return e.cause }

// refusal is a kind of answer that this client handles itself.
type refusal int

const (
	// The session of the request has ended.
	sessionEnded refusal = iota + 1
	// There is no such hold any more.
	holdGone
	// The hold of an earlier attempt ended before its answer arrived.
	holdEnded
	// It gave something else than it was asked for.
	unaskedHold
)

func isRefusal(err error, kind refusal) bool {
	var refused *RefusedError
	return errors.As(err, &refused) && refused.kind == kind
}

func isCutShort(err error) bool {
	var unreachable *UnreachableError
	return errors.As(err, &unreachable) && unreachable.cutShort
}

// ended is the error of a context that has ended, with its cause.
func ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) || errors.Is(cause, ErrClosed) {
		return cause
	}
	return fmt.Errorf("%w (%w)", ctx.Err(), cause)
}
