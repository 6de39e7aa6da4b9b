package latchd

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var errBroken = errors.New("broken")

var _ = behaviour("scope", func(t *testing.T) {
	client, other := pair(t)
	must(t, client.Do(testContext(t), "scope", nil, func(ctx context.Context, hold *Hold) error {
		check(t, !isFree(t, other, "scope"), "it is not held")
		check(t, hold.Remaining() > 15*time.Second && hold.Remaining() <= 30*time.Second, "remaining %v", hold.Remaining())
		return hold.Check()
	}))
	check(t, isFree(t, other, "scope"), "it is still held")
})

var _ = behaviour("scope-error", func(t *testing.T) {
	client, other := pair(t)
	err := client.Do(testContext(t), "scope-error", nil, func(context.Context, *Hold) error { return errBroken })
	mustBe(t, err, errBroken)
	check(t, isFree(t, other, "scope-error"), "it is held after an error")
	func() {
		defer func() { check(t, recover() == any(errBroken), "the panic did not reach the caller") }()
		_ = client.Do(testContext(t), "scope-error", nil, func(context.Context, *Hold) error { panic(errBroken) })
	}()
	check(t, isFree(t, other, "scope-error"), "it is held after a panic")
	ctx, cancel := context.WithCancel(testContext(t))
	err = client.Do(ctx, "scope-error", nil, func(ctx context.Context, _ *Hold) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	mustBe(t, err, context.Canceled)
	check(t, isFree(t, other, "scope-error"), "it is held after a cancelled scope")
})

var _ = behaviour("try", func(t *testing.T) {
	client, other := pair(t)
	locked(t, client, "try")
	var err error
	check(t, took(func() { _, err = other.TryLock(testContext(t), "try") }) < 20*time.Second, "it waited")
	mustBe(t, err, ErrNotAcquired)
	_, err = connect(t, "http://127.0.0.1:1").TryLock(testContext(t), "try")
	mustBe(t, err, ErrUnreachable)
	check(t, !errors.Is(err, ErrNotAcquired), "an error counts as held")
})

var _ = behaviour("token", func(t *testing.T) {
	client, other := pair(t)
	last := uint64(0)
	for n := range 6 {
		hold := locked(t, []*Client{client, other}[n%2], "token")
		check(t, hold.Token() > last, "%d after %d", hold.Token(), last)
		last = hold.Token()
		release(t, hold)
		release(t, hold)
	}
})

var _ = behaviour("close", func(t *testing.T) {
	client, other := pair(t)
	told := make(chan *Hold, 1)
	hold := locked(t, client, "close", OnLost(func(hold *Hold) { told <- hold }))
	locked(t, other, "close-2")
	waiting := taking(t, client, testContext(t), "close-2")
	untilWaiting(t, other, "close-2", 1)
	must(t, client.Close())
	must(t, client.Close())
	mustSay(t, hold.Check(), "closed")
	check(t, within(t, told) == hold, "of another hold")
	mustBe(t, context.Cause(hold.Context()), ErrLockLost)
	mustBe(t, within(t, waiting).err, ErrClosed)
	check(t, isFree(t, other, "close"), "it is still held")
	untilWaiting(t, other, "close-2", 0)
	mustBe(t, hold.Release(testContext(t)), ErrLockLost)
	_, err := client.Lock(testContext(t), "close")
	mustBe(t, err, ErrClosed)
	// Also a wait for a service that is silent.
	asked := make(chan bool, 1)
	silent := connect(t, put(t, common, always("/v1/lock", func(e *exchange) { asked <- true; stall(e) })).url)
	waiting = taking(t, silent, testContext(t), "close-3")
	within(t, asked)
	must(t, silent.Close())
	mustBe(t, within(t, waiting).err, ErrClosed)
})

var _ = behaviour("concurrent", func(t *testing.T) {
	client := connect(t, common.url)
	counter := 0
	var work sync.WaitGroup
	for range 8 {
		work.Add(1)
		go func() {
			defer work.Done()
			for range 10 {
				err := client.Do(testContext(t), "concurrent", nil, func(context.Context, *Hold) error {
					seen := counter
					time.Sleep(time.Millisecond)
					counter = seen + 1
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	work.Wait()
	check(t, counter == 80, "%d increments", counter)
})

func TestLockOfAnyNameIsTakenAndReleased(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	for _, name := range []string{".", "..", "a/../b", "-x", "a%2Fb", "a?b", "a#b", "a&name=b", "a+b", " ", "ä\u2028", "'\"\\"} {
		hold := locked(t, client, name)
		shown, err := other.Show(testContext(t), name)
		must(t, err)
		check(t, shown.Name == name && len(shown.Holders) == 1 && shown.Holders[0].Token == hold.Token(), "%q: %+v", name, shown)
		release(t, hold)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:8443", "ftp://a", "https://", "https://a?b=c", "https://user:secret@a"} {
		_, err := New(url)
		check(t, err != nil, "%q is taken", url)
		check(t, !errors.Is(err, ErrUnreachable) && !contains(err, "secret"), "%v", err)
	}
	for n, option := range []ClientOption{
		WithTimeout(0), WithPatience(-1), WithRootsFile("nowhere.pem"), WithClientCertificateFiles("no", "no"),
		func(set *settings) error { _ = WithAPIKey("a")(set); return WithPassword("b")(set) },
	} {
		_, err := New(common.url, option)
		check(t, err != nil, "option %d is taken", n)
	}
	client := connect(t, common.url)
	for n, opts := range []Options{
		{Lease(0)}, {Wait(-1)}, {LockDelay(-1)}, {Size(2), Shared()}, {Weight(2)}, {Size(2), And("b")}, {And("\xff")},
	} {
		_, err := client.Lock(testContext(t), "a", opts...)
		check(t, err != nil && !errors.Is(err, ErrRefused), "options %d: %v", n, err)
	}
	_, err := client.Elect(testContext(t), "a", "value", Size(2))
	check(t, err != nil && !errors.Is(err, ErrRefused), "%v", err)
	_, err = client.Lock(testContext(t), strings.Repeat("x", 6000))
	mustBe(t, err, ErrRefused)
}

func TestClosedClientLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	client, err := New(common.url)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = client.Lock(ctx, "goroutines")
	must(t, err)
	for range 3 {
		go func() { _, _ = client.Lock(ctx, "goroutines") }()
	}
	untilWaiting(t, client, "goroutines", 3)
	must(t, client.Close())
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}

func contains(err error, secret string) bool {
	return regexpQuoted(secret).MatchString(fmt.Sprintf("%v %+v %#v", err, err, err))
}

func TestLockerLocksPanicsOnLossAndWithoutLock(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	locker := client.Locker("locker", Lease(20*time.Second))
	check(t, locker.Hold() == nil, "it is locked")
	panics(t, "not locked", locker.Unlock)
	var work sync.WaitGroup
	counter := 0
	for range 4 {
		work.Add(1)
		go func() {
			defer work.Done()
			locker.Lock()
			defer locker.Unlock()
			counter++
		}()
	}
	work.Wait()
	check(t, counter == 4, "%d", counter)
	locker.Lock()
	check(t, locker.Hold().Token() > 0 && !isFree(t, other, "locker"), "it is not locked")
	locker.Hold().lose("for this test")
	panics(t, "was lost", locker.Unlock)
	check(t, isFree(t, other, "locker"), "what was lost is not given back")
	panics(t, "size must be", client.Locker("locker", Size(1<<30)).Lock)
	pool := client.Locker("locker-pool", Size(2))
	pool.Lock()
	pool.Lock()
	first := pool.Hold()
	pool.Unlock()
	check(t, pool.Hold() != first, "it is released")
	pool.Unlock()
	check(t, pool.Hold() == nil, "one is left")
}

func panics(t *testing.T, words string, work func()) {
	t.Helper()
	defer func() {
		err, _ := recover().(error)
		mustSay(t, err, words)
	}()
	work()
}
