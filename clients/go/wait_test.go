package latchd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var _ = behaviour("wait", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "wait")
	waiting := taking(t, other, testContext(t), "wait")
	untilWaiting(t, client, "wait", 1)
	release(t, hold)
	got := within(t, waiting)
	must(t, got.err)
	check(t, got.hold.Token() > hold.Token(), "%d after %d", got.hold.Token(), hold.Token())
	release(t, got.hold)
})

var _ = behaviour("wait-timeout", func(t *testing.T) {
	client, other := pair(t)
	locked(t, client, "wait-timeout")
	inTime := func(t *testing.T, client *Client, limit time.Duration, opts ...Option) error {
		t.Helper()
		var err error
		spent := took(func() { _, err = client.Lock(testContext(t), "wait-timeout", opts...) })
		check(t, spent < limit, "it took %v: %v", spent, err)
		return err
	}
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		mustBe(t, inTime(t, other, 9*time.Second, Wait(500*time.Millisecond)), ErrNotAcquired)
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		isInTime := false
		// A busy machine makes one attempt late, not each.
		for attempt := 0; attempt < 5 && !isInTime; attempt++ {
			ctx, cancel := context.WithTimeout(testContext(t), 2500*time.Millisecond)
			_, err := other.Lock(ctx, "wait-timeout")
			isInTime = ctx.Err() == nil
			cancel()
			if isInTime {
				mustBe(t, err, ErrNotAcquired)
				mustBe(t, err, context.DeadlineExceeded)
				mustSay(t, err, "held by ")
			}
		}
		check(t, isInTime, "it ended late each time")
	})
	t.Run("paused", func(t *testing.T) {
		t.Parallel()
		stopped := start(t)
		stopped.pause(t)
		silent := connect(t, stopped.url, WithPatience(time.Second))
		err := inTime(t, silent, 9*time.Second, Wait(time.Second))
		mustBe(t, err, ErrNotAcquired)
		mustSay(t, err, "gave no answer in time")
		mustBe(t, inTime(t, silent, 9*time.Second, Wait(0)), ErrUnreachable)
	})
	for how, fault := range map[string]func(*exchange){"stalls": stall, "trickles": trickle, "stops in the body": stopInBody} {
		for _, path := range []string{"/session", "/v1/lock"} {
			t.Run(how+path, func(t *testing.T) {
				t.Parallel()
				faulty := connect(t, put(t, common, always(path, fault)).url, WithPatience(2*time.Second))
				err := inTime(t, faulty, 9*time.Second, Wait(1200*time.Millisecond))
				mustBe(t, err, ErrNotAcquired)
				mustSay(t, err, " time")
			})
		}
	}
})

var _ = behaviour("order", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "order")
	order := make(chan int, 3)
	for n := range 3 {
		go func() {
			got, err := other.Lock(testContext(t), "order")
			if err != nil {
				t.Error(err)
				return
			}
			order <- n
			_ = got.Release(context.Background())
		}()
		untilWaiting(t, client, "order", n+1)
	}
	release(t, hold)
	for n := range 3 {
		check(t, within(t, order) == n, "out of order")
	}
})

var _ = behaviour("holder", func(t *testing.T) {
	client := connect(t, common.url)
	other := connect(t, common.url, WithMetadata(map[string]string{"job": "7"}))
	hold := locked(t, client, "holder", Metadata(map[string]string{"task": "x", "host": "web-1"}))
	_, err := other.Lock(testContext(t), "holder", Wait(200*time.Millisecond))
	var refused *NotAcquiredError
	check(t, errors.As(err, &refused) && len(refused.Holders) == 1, "%v", err)
	holder := refused.Holders[0]
	check(t, holder.Token == hold.Token() && holder.HeldFor > 100*time.Millisecond && holder.Remaining > 0, "%+v", holder)
	check(t, holder.Metadata["task"] == "x" && holder.Metadata["host"] == "web-1", "%v", holder.Metadata)
	check(t, holder.Metadata["pid"] == fmt.Sprint(os.Getpid()) && holder.Metadata["user"] != "", "%v", holder.Metadata)
	for _, words := range []string{"@web-1 pid ", " since 20", "task=x", "0 wait for it"} {
		mustSay(t, err, words)
	}
	_, err = client.Lock(testContext(t), "holder", Wait(0))
	mustSay(t, err, "held by this client itself")
	release(t, hold)
	locked(t, other, "holder")
	shown, err := client.Show(testContext(t), "holder")
	must(t, err)
	check(t, len(shown.Holders[0].Metadata) == 1 && shown.Holders[0].Metadata["job"] == "7", "%v", shown.Holders)
})

var _ = behaviour("cancel", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "cancel")
	// Of an owner that holds nothing else, and of one that does.
	busy := other.WithOwner(testContext(t))
	_, err := other.Lock(busy, "cancel-beside")
	must(t, err)
	for n, ctx := range []context.Context{testContext(t), busy} {
		ctx, cancel := context.WithCancelCause(ctx)
		waiting := taking(t, other, ctx, "cancel")
		untilWaiting(t, client, "cancel", 1)
		cancel(errBroken)
		got := within(t, waiting)
		mustBe(t, got.err, context.Canceled)
		mustBe(t, got.err, errBroken)
		check(t, !errors.Is(got.err, ErrNotAcquired), "wait %d: %v", n, got.err)
	}
	third := taking(t, connect(t, common.url), testContext(t), "cancel")
	eventually(t, func() bool {
		shown, err := client.Show(testContext(t), "cancel")
		must(t, err)
		return shown.QueueLength > 0
	})
	release(t, hold)
	must(t, within(t, third).err)
})

func TestWaitOutlastsTheLongestWaitOfTheService(t *testing.T) {
	t.Parallel()
	short := startWith(t, "http://127.0.0.1:0", []string{"LATCHD_LOCKS_WAIT_MAX=300ms"})
	client, other := connect(t, short.url), connect(t, short.url)
	hold := locked(t, client, "long")
	lead, err := client.Elect(testContext(t), "long-election", "one")
	must(t, err)
	reader := locked(t, other, "long-upgrade", Shared())
	mine := locked(t, client, "long-upgrade", Shared())
	time.AfterFunc(time.Second, func() {
		for _, each := range []*Hold{hold, lead.Hold, reader} {
			_ = each.Release(context.Background())
		}
	})
	begun := time.Now()
	must(t, mine.Upgrade(testContext(t)))
	check(t, time.Since(begun) > 900*time.Millisecond, "it did not wait")
	got, err := other.Lock(testContext(t), "long")
	must(t, err)
	release(t, got)
	next, err := other.Elect(testContext(t), "long-election", "two")
	must(t, err)
	release(t, next.Hold)
}

func TestLateGrantHasItsWholeLease(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	kept := locked(t, client, "late-grant", Lease(8*time.Second))
	time.AfterFunc(6*time.Second, func() { _ = client.Close() })
	got, err := other.Lock(testContext(t), "late-grant", Wait(20*time.Second), Lease(8*time.Second))
	must(t, err)
	check(t, got.Remaining() > 3*time.Second, "%v: counted from before the wait", got.Remaining())
	mustBe(t, kept.Check(), ErrLockLost)
	release(t, got)
}

func TestCancelledGrantIsGivenBack(t *testing.T) {
	t.Parallel()
	// The grant is made, and its answer does not come before the caller gives up.
	client := connect(t, put(t, common, always("/v1/lock", stall)).url)
	other := connect(t, common.url)
	ctx, cancel := context.WithCancel(testContext(t))
	waiting := taking(t, client, ctx, "unheard")
	eventually(t, func() bool {
		shown, err := other.Show(testContext(t), "unheard")
		must(t, err)
		return len(shown.Holders) == 1
	})
	cancel()
	mustBe(t, within(t, waiting).err, context.Canceled)
	got, err := other.Lock(testContext(t), "unheard", Wait(3*time.Second))
	must(t, err)
	release(t, got)
}

func TestWaitUnderTheSameLatchdLockFailsAsDeadlock(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "outer", And("beside"), AndShared("read"))
	t.Setenv("LATCHD_LOCK_NAME", "outer")
	t.Setenv("LATCHD_LOCK_NAMES", `["outer","beside","read"]`)
	t.Setenv("LATCHD_FENCING_TOKEN", fmt.Sprint(hold.Token()))
	_, err := other.Lock(testContext(t), "free", And("beside"))
	mustSay(t, err, "a deadlock with oneself")
	mustBe(t, err, ErrNotAcquired)
	reader := locked(t, other, "read", Shared())
	release(t, reader)
	t.Setenv("LATCHD_LOCK_NAMES", "")
	_, err = other.Lock(testContext(t), "outer")
	check(t, strings.Contains(fmt.Sprint(err), "oneself"), "%v", err)
}
