package latchd

import (
	"context"
	"testing"
	"time"
)

var _ = behaviour("election", func(t *testing.T) {
	client, other := pair(t)
	_, err := other.Leader(testContext(t), "election/1")
	mustBe(t, err, ErrNoLeader)
	var first uint64
	following := make(chan *Leadership, 1)
	must(t, client.Lead(testContext(t), "election/1", "one", Options{Lease(8 * time.Second)},
		func(ctx context.Context, lead *Leadership) error {
			first = lead.Token()
			found, err := other.Leader(ctx, "election/1")
			must(t, err)
			check(t, found.Value == "one" && found.Token == first, "%+v", found)
			check(t, found.ReliableFor() > 0 && found.ReliableFor() <= time.Second, "%v", found.ReliableFor())
			_, err = other.Elect(ctx, "election/1", "two", Wait(0))
			mustBe(t, err, ErrNotAcquired)
			mustSay(t, err, "held by ")
			go func() {
				next, err := other.Elect(testContext(t), "election/1", "two", Wait(50*time.Second))
				if err != nil {
					t.Error(err)
				}
				following <- next
			}()
			untilWaiting(t, client, "election/1", 1)
			return nil
		}))
	next := within(t, following)
	found, err := client.Leader(testContext(t), "election/1")
	must(t, err)
	check(t, found.Value == "two" && found.Token == next.Token() && next.Token() > first, "%+v", found)
	release(t, next.Hold)
	_, err = client.Leader(testContext(t), "election/1")
	mustBe(t, err, ErrNoLeader)
})

var _ = behaviour("election-value", func(t *testing.T) {
	client, other := pair(t)
	lead, err := client.Elect(testContext(t), "election-value", "one", Wait(0))
	must(t, err)
	must(t, lead.SetValue(testContext(t), "two"))
	for _, reader := range []*Client{client, other} {
		found, err := reader.Leader(testContext(t), "election-value")
		must(t, err)
		check(t, found.Value == "two" && found.Token == lead.Token() && lead.Value() == "two", "%+v", found)
	}
	mustBe(t, lead.SetValue(testContext(t), string(make([]byte, 5000))), ErrRefused)
	release(t, lead.Hold)
	mustBe(t, lead.SetValue(testContext(t), "late"), ErrReleased)
})

var _ = behaviour("election-lost", func(t *testing.T) {
	client, other := pair(t)
	told := make(chan *Hold, 1)
	lead, err := client.Elect(testContext(t), "election-lost", "one", OnLost(func(h *Hold) { told <- h }))
	must(t, err)
	force(t, other, lead.Hold)
	mustSay(t, lead.SetValue(testContext(t), "two"), "has ended")
	mustBe(t, lead.Check(), ErrLockLost)
	check(t, within(t, told) == lead.Hold, "of another hold")
	lead, err = client.Elect(testContext(t), "election-lost", "one", Lease(8*time.Second), Wait(5*time.Second))
	must(t, err)
	force(t, other, lead.Hold)
	within(t, lead.Lost())
})
