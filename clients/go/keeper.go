package latchd

import (
	"context"
	"errors"
	"time"
)

// The clock of this machine decides whether a hold is lost, not the answer of a service that may come late.

// deadline is when a hold counts as lost: before its lease ends, because a clock may run a little slow.
func (h *Hold) deadline() moment {
	return h.granted.until - moment(min(max(h.term/20, 50*time.Millisecond), 2*time.Second))
}

func (h *Hold) isLate() bool { return h.state == held && h.deadline().left() == 0 }

// keep renews at a third of the lease until the hold is released or lost.
func (h *Hold) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	renewed := make(chan moment, 1)
	due := h.nextRenewal(h.granted.sent)
	renewing := false
	for {
		wake := h.currentDeadline()
		if !renewing {
			wake = min(wake, due)
		}
		timer := time.NewTimer(min(wake.left(), slice))
		select {
		case <-h.ended:
			timer.Stop()
			return
		case sent := <-renewed:
			renewing, due = false, h.nextRenewal(sent)
		case <-timer.C:
		}
		timer.Stop()
		if h.currentDeadline().left() == 0 {
			h.lose(h.whyLate())
			return
		}
		if !renewing && due.left() == 0 {
			renewing = true
			go func() { renewed <- h.renew(ctx) }()
		}
	}
}

func (h *Hold) currentDeadline() moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deadline()
}

func (h *Hold) nextRenewal(sent moment) moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sent.after(h.term / 3)
}

func (h *Hold) whyLate() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.why == "" {
		return tooLate
	}
	return h.why
}

// renew tries until it succeeds, or the hold is over; it tells when the answered attempt was sent.
func (h *Hold) renew(ctx context.Context) moment {
	for ctx.Err() == nil {
		h.mu.Lock()
		hold, term, deadline := h.granted, h.term, h.deadline()
		h.mu.Unlock()
		// Half of what is left at most: there is time for another attempt.
		attempt := max(10*time.Millisecond, min(term/6, 5*time.Second, deadline.left()/2))
		pause := min(term/10, longestPause)
		p := patience{until: deadline, attempt: attempt, pause: pause, ends: hold.until}
		told, got, err := h.client.renew(ctx, &hold, p)
		switch {
		case ctx.Err() != nil:
		case isRefusal(err, sessionEnded):
			h.client.end(h.session, sessionGone)
			return now()
		case err != nil:
			// A refusal may be taken back while the lease still runs, such as that of a credential.
			h.explain(err)
			rest(ctx, pause)
		case !*told.Locked:
			// If it is handed over meanwhile, nothing is lost.
			h.handover.Lock()
			h.lose(goneThere)
			h.handover.Unlock()
			return now()
		default:
			h.extend(got.sent, leaseEnd(told.ExpiresIn, hold.longest(), got.sent))
			return got.sent
		}
	}
	return now()
}

// explain keeps the reason for which the lease may end.
func (h *Hold) explain(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == held {
		h.why = "its lease could not be renewed: " + err.Error()
	}
}

func (h *Hold) extend(sent, until moment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// A caller may have seen that it is lost, and that stays so.
	if h.state == held && !h.isLate() {
		h.term, h.why = time.Duration(until-sent), ""
		h.granted.until = max(h.granted.until, until)
	}
}

// change runs a change of a hold that is there.
func (h *Hold) change(work func(hold granted) error) error {
	if err := h.Check(); err != nil {
		return err
	}
	h.mu.Lock()
	hold, state := h.granted, h.state
	h.mu.Unlock()
	if state == released {
		return ErrReleased
	}
	err := work(hold)
	switch {
	case isRefusal(err, sessionEnded):
		h.client.end(h.session, sessionGone)
	case isRefusal(err, holdGone):
		h.lose(goneThere)
	}
	if lost := h.Check(); lost != nil && !errors.Is(err, ErrLockLost) {
		return lost
	}
	return err
}
