package latchd

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

var _ = behaviour("shared", func(t *testing.T) {
	client, other := pair(t)
	one, two := locked(t, client, "shared", Shared()), locked(t, other, "shared", Shared())
	writing := taking(t, connect(t, common.url), testContext(t), "shared")
	untilWaiting(t, client, "shared", 1)
	check(t, !isFree(t, client, "shared", Shared()), "a reader overtook the writer")
	release(t, one)
	check(t, len(writing) == 0, "the writer did not wait for both")
	shown, err := client.Show(testContext(t), "shared")
	must(t, err)
	check(t, shown.Mode == "shared" && len(shown.Holders) == 1, "%+v", shown)
	release(t, two)
	must(t, within(t, writing).err)
})

var _ = behaviour("names", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "names-b", AndShared("names-a"), Lease(8*time.Second))
	check(t, hold.Name() == "names-b" && slices.Equal(hold.Names(), []string{"names-b", "names-a"}), "%v", hold.Names())
	passed(t, hold, 10*time.Second)
	check(t, !isFree(t, other, "names-b") && !isFree(t, other, "names-a"), "one is free")
	check(t, isFree(t, other, "names-a", Shared()), "it is not shared")
	check(t, !isFree(t, other, "names-c", And("names-a")) && isFree(t, other, "names-c"), "one was taken alone")
	_, err := other.Lock(testContext(t), "names-c", And("names-b"), Wait(0))
	var refused *NotAcquiredError
	check(t, errors.As(err, &refused) && refused.Name == "names-b" && len(refused.Holders) == 1, "%v", err)
	release(t, hold)
	// In opposite orders, they do not block each other.
	done := make(chan error, 4)
	for _, names := range [][2]string{{"x", "y"}, {"y", "x"}, {"y", "z"}, {"z", "x"}} {
		go func() {
			var err error
			for range 5 {
				err = errors.Join(err, client.Do(testContext(t), names[0], Options{And(names[1])},
					func(context.Context, *Hold) error { return nil }))
			}
			done <- err
		}()
	}
	for range 4 {
		must(t, within(t, done))
	}
})

var _ = behaviour("weight", func(t *testing.T) {
	client, other := pair(t)
	locked(t, client, "weight", Size(4), Weight(3))
	check(t, !isFree(t, other, "weight", Size(4), Weight(2)), "there are five places")
	check(t, isFree(t, other, "weight", Size(4)), "there are three places")
	_, err := other.Lock(testContext(t), "weight", Size(3))
	var refused *RefusedError
	check(t, errors.As(err, &refused) && refused.Code == "LockSizeMismatch", "%v", err)
})

var _ = behaviour("downgrade", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "downgrade", Lease(8*time.Second))
	first := hold.Token()
	check(t, !isFree(t, other, "downgrade", Shared()), "it is shared")
	must(t, hold.Downgrade(testContext(t)))
	check(t, hold.Token() > first, "%d after %d", hold.Token(), first)
	locked(t, other, "downgrade", Shared())
	passed(t, hold, 10*time.Second)
	check(t, !isFree(t, other, "downgrade"), "it is not held")
	release(t, hold)
	mustBe(t, hold.Downgrade(testContext(t)), ErrReleased)
})

var _ = behaviour("upgrade", func(t *testing.T) {
	client, other := pair(t)
	hold, reader := locked(t, client, "upgrade", Shared(), Lease(8*time.Second)), locked(t, other, "upgrade", Shared())
	first := hold.Token()
	mustBe(t, hold.Upgrade(testContext(t), Wait(0)), ErrNotAcquired)
	mustSay(t, hold.Upgrade(testContext(t), Wait(200*time.Millisecond)), "others share it")
	short, cancel := context.WithTimeout(testContext(t), 300*time.Millisecond)
	defer cancel()
	err := hold.Upgrade(short)
	mustBe(t, err, ErrNotAcquired)
	mustBe(t, err, context.DeadlineExceeded)
	check(t, hold.Token() == first && hold.Check() == nil, "it did not stay")
	upgraded := make(chan error, 1)
	go func() { upgraded <- hold.Upgrade(testContext(t)) }()
	untilWaiting(t, other, "upgrade", 1)
	err = reader.Upgrade(testContext(t))
	check(t, errors.Is(err, ErrRefused) || errors.Is(err, ErrWouldDeadlock), "%v", err)
	release(t, reader)
	must(t, within(t, upgraded))
	check(t, hold.Token() > first, "%d after %d", hold.Token(), first)
	passed(t, hold, 10*time.Second)
	check(t, !isFree(t, other, "upgrade", Shared()), "it is shared")
	force(t, other, hold)
	mustBe(t, hold.Upgrade(testContext(t)), ErrLockLost)
})

var _ = behaviour("transfer", func(t *testing.T) {
	client, other := pair(t)
	lostHere := OnLost(func(*Hold) { t.Error("the giver was told of a loss") })
	hold := locked(t, client, "transfer", And("transfer-2"), Lease(8*time.Second), lostHere)
	id, err := other.SessionID(testContext(t))
	must(t, err)
	_, err = hold.Transfer(testContext(t), "nonsense")
	var refused *RefusedError
	check(t, errors.As(err, &refused) && refused.Status == 400 && refused.Code == "invalid-field", "%#v", err)
	check(t, hold.Check() == nil, "it is lost")
	given, err := hold.Transfer(testContext(t), id)
	must(t, err)
	check(t, given.Token() > hold.Token(), "%d after %d", given.Token(), hold.Token())
	mustBe(t, context.Cause(hold.Context()), ErrReleased)
	release(t, hold)
	must(t, client.Close())
	text, err := given.Reveal()
	must(t, err)
	received, err := ParseTransferred(text)
	must(t, err)
	_, err = ParseTransferred("{}")
	check(t, err != nil, "an empty one is read")
	mine, err := other.Adopt(testContext(t), received, Lease(8*time.Second))
	must(t, err)
	check(t, slices.Equal(mine.Names(), []string{"transfer", "transfer-2"}) && mine.Token() == given.Token(), "%v", mine)
	passed(t, mine, 10*time.Second)
	check(t, !isFree(t, other, "transfer-2"), "it is free")
	release(t, mine)
	_, err = other.Adopt(testContext(t), received)
	mustBe(t, err, ErrLockLost)
	_, err = connect(t, common.url).Adopt(testContext(t), received)
	mustSay(t, err, "none of this client")
})

func TestRenewalDuringATransferReportsNoLoss(t *testing.T) {
	t.Parallel()
	// The old key is worth nothing while the answer to the transfer is still on its way.
	proxy := put(t, common, func(e *exchange) bool {
		if e.path == "/v1/transfer" {
			e.rest(4500 * time.Millisecond)
		}
		return false
	})
	client, other := connect(t, proxy.url), connect(t, common.url)
	hold := locked(t, client, "passed", Lease(9*time.Second), OnLost(func(*Hold) { t.Error("told of a loss") }))
	id, err := other.SessionID(testContext(t))
	must(t, err)
	_, err = hold.Transfer(testContext(t), id)
	must(t, err)
	check(t, len(proxy.keys("/v1/renew")) > 0, "it was not renewed meanwhile")
	release(t, hold)
}

var _ = behaviour("deadlock", func(t *testing.T) {
	client, other := pair(t)
	for _, waiter := range []*Client{other, client} {
		mine, theirs := client.WithOwner(testContext(t)), waiter.WithOwner(testContext(t))
		left, err := client.Lock(mine, "left", Wait(0))
		must(t, err)
		right, err := waiter.Lock(theirs, "right", Wait(0))
		must(t, err)
		crossing := taking(t, waiter, theirs, "left")
		untilWaiting(t, client, "left", 1)
		_, err = client.Lock(mine, "right")
		mustBe(t, err, ErrWouldDeadlock)
		mustBe(t, err, ErrNotAcquired)
		mustSay(t, err, `waits for "right"`)
		var refused *WouldDeadlockError
		check(t, errors.As(err, &refused) && len(refused.Cycle) == 2, "%v", err)
		one, two := refused.Cycle[0], refused.Cycle[1]
		check(t, one.Name == "right" && two.Name == "left", "%v", refused.Cycle)
		check(t, one.HeldBy == two.WaitedForBy && two.HeldBy == one.WaitedForBy, "%v", refused.Cycle)
		release(t, left)
		got := within(t, crossing)
		must(t, got.err)
		release(t, got.hold)
		release(t, right)
	}
})

func TestContextOfAHoldCarriesItsOwner(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	theirs := locked(t, other, "theirs")
	err := client.Do(testContext(t), "mine", nil, func(ctx context.Context, hold *Hold) error {
		check(t, client.ownerOf(ctx) == client.ownerOf(hold.Context()), "two owners")
		waiting := taking(t, other, theirs.Context(), "mine")
		untilWaiting(t, client, "mine", 1)
		_, err := client.Lock(ctx, "theirs")
		mustBe(t, err, ErrWouldDeadlock)
		release(t, hold)
		got := within(t, waiting)
		must(t, got.err)
		release(t, got.hold)
		return nil
	})
	must(t, err)
}

func TestLocksOfGoroutinesThatOnlyWaitAreNoDeadlock(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	held := locked(t, client, "cross-one")
	theirs := other.WithOwner(testContext(t))
	two, err := other.Lock(theirs, "cross-two")
	must(t, err)
	waiting := taking(t, client, testContext(t), "cross-two")
	untilWaiting(t, client, "cross-two", 1)
	crossing := taking(t, other, theirs, "cross-one")
	untilWaiting(t, client, "cross-one", 1)
	release(t, held)
	got := within(t, crossing)
	must(t, got.err)
	release(t, got.hold)
	release(t, two)
	got = within(t, waiting)
	must(t, got.err)
	release(t, got.hold)
}

func TestSessionThatWillHaveEndedIsNotUsed(t *testing.T) {
	t.Parallel()
	var all sessions
	for _, idle := range []time.Duration{0, time.Hour} {
		opened := &session{id: hidden("id"), idle: idle}
		all.add(opened)
		all.put(opened)
	}
	check(t, all.take(&owner{}, false) != nil && all.take(&owner{}, false) == nil, "the ended one was taken")
	check(t, len(all.open) == 1, "%d are left", len(all.open))
}

func TestFreeSessionGoesToTheNextOwner(t *testing.T) {
	t.Parallel()
	proxy := put(t, common, nil)
	client := connect(t, proxy.url)
	for _, name := range []string{"each-1", "each-2", "each-3", "each-4"} {
		release(t, locked(t, client, name))
		_, err := client.Lock(testContext(t), name, Size(1<<30))
		mustBe(t, err, ErrRefused)
	}
	held := locked(t, connect(t, common.url), "each-1")
	check(t, !isFree(t, client, "each-1"), "two hold it")
	release(t, held)
	check(t, len(proxy.keys("/session")) == 1, "%d sessions", len(proxy.keys("/session")))
}
