// Package latchd is the client of the latchd lock service: locks that say when they are lost.
//
//	client, err := latchd.New("https://127.0.0.1:8443", latchd.WithRootsFile("certs/dev-cert.pem"))
//	...
//	err = client.Do(ctx, "report", nil, func(ctx context.Context, hold *latchd.Hold) error {
//		return write(ctx, hold.Token()) // ctx ends when the lock is lost
//	})
//
// # Holds
//
// A [Hold] is renewed in the background after a third of its lease, until it is released, its client is closed, or it is
// lost. It counts as lost when the service says so, or before its lease can end there: the lease is counted from before
// the request was sent, by a clock of this machine that on Linux also counts the time of a suspension. A process that was
// paused for longer than the lease may still act too late. So pass [Hold.Token] to whatever the lock protects, and have it
// reject a token that is lower than one it has seen.
//
// A hold is renewed for as long as the process lives, also where nothing refers to it any more: release it, or use
// [Client.Do].
//
// # Owners
//
// The service refuses a wait that could not end because it would close a cycle of owners that wait for each other. Go has
// no identity of goroutines, so an owner is what a context says: each lock has an owner of its own, unless it is taken with
// the context that [Client.Do] gives its function, that of [Hold.Context], or one made by [Client.WithOwner]. Locks that
// are taken with one of these belong to the same owner. Give goroutines that take locks independently of each other a
// context of [Client.WithOwner] each: an owner does not wait for itself, so a deadlock between goroutines of one owner is
// not seen, and a wait of one of them may be refused for what another one holds.
//
// # Retries
//
// Requests are sent again while no node answers, for the patience of the client, with growing pauses that are spread, to
// each URL in turn. Those that must not be carried out twice have an idempotency key, so that a lost answer gives the same
// hold.
//
// # Errors
//
// [ErrNotAcquired], [ErrWouldDeadlock], [ErrLockLost], [ErrRefused] and [ErrUnreachable] are for [errors.Is]. The types
// [NotAcquiredError], [WouldDeadlockError], [LockLostError], [RefusedError] and [UnreachableError] are for [errors.As], and
// tell more. No error contains a key, a session id or a credential.
package latchd
