package latchd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Option says how a lock is taken.
type Option func(*wanted)

// Options are several of them, for [Client.Do].
type Options []Option

const (
	exclusive = "exclusive"
	shared    = "shared"
)

// place is one of the locks that are asked for.
type place struct {
	name string
	// Empty: that of the others.
	mode string
}

// wanted is a request for one lock or for several.
type wanted struct {
	places   []place
	mode     string
	lease    time.Duration
	size     uint32
	weight   uint32
	delay    time.Duration
	metadata map[string]string
	wait     time.Duration
	hasWait  bool
	onLost   func(*Hold)
	// Of a campaign in an election.
	value    string
	campaign bool
}

// Wait is how long to wait for the lock: not at all with 0. Without it, the wait ends when the context does; a little
// before its deadline, so that the error can say who holds the lock.
func Wait(wait time.Duration) Option {
	return func(w *wanted) { w.wait, w.hasWait = wait, true }
}

// Lease is how long the lock stays taken after it could last be renewed; 30 seconds unless it is given, and 10 for an
// election. A lease longer than the idle time of sessions ends with the session.
func Lease(lease time.Duration) Option { return func(w *wanted) { w.lease = lease } }

// Shared lets any number hold the lock who take it so. With several names it is the mode of those without their own.
func Shared() Option { return func(w *wanted) { w.mode = shared } }

// And takes another lock at the same time: all of them or none, under one token.
func And(names ...string) Option { return also("", names) }

// AndShared is [And] for locks that are shared, whatever the mode of the others.
func AndShared(names ...string) Option { return also(shared, names) }

// AndExclusive is [And] for locks that are held alone, whatever the mode of the others.
func AndExclusive(names ...string) Option { return also(exclusive, names) }

func also(mode string, names []string) Option {
	return func(w *wanted) {
		for _, name := range names {
			w.places = append(w.places, place{name, mode})
		}
	}
}

// Size is how many may hold the lock at once. All who use it have to say the same number.
func Size(size uint32) Option { return func(w *wanted) { w.size = size } }

// Weight is how many of the places of a lock with a size the hold takes.
func Weight(weight uint32) Option { return func(w *wanted) { w.weight = weight } }

// LockDelay is for how long nobody is granted the lock after this hold was lost.
func LockDelay(delay time.Duration) Option { return func(w *wanted) { w.delay = delay } }

// Metadata is shown to whoever asks who holds the lock, beside that of the client.
func Metadata(metadata map[string]string) Option {
	metadata = maps.Clone(metadata)
	return func(w *wanted) { w.metadata = metadata }
}

// OnLost is called once, in a goroutine of its own, when the hold is lost. [Hold.Lost] and [Hold.Context] tell the same.
func OnLost(told func(*Hold)) Option { return func(w *wanted) { w.onLost = told } }

func newWanted(name string, lease time.Duration, opts []Option) (*wanted, error) {
	w := &wanted{places: []place{{name: name}}, lease: lease}
	for _, option := range opts {
		if option != nil {
			option(w)
		}
	}
	for n := range w.places {
		if w.places[n].mode == "" {
			w.places[n].mode = w.mode
		}
	}
	return w, w.check()
}

func (w *wanted) check() error {
	counted := w.size != 0 || w.weight != 0
	switch {
	case w.lease <= 0:
		return fmt.Errorf("latchd: Lease must be above 0, not %v", w.lease)
	case w.wait < 0:
		return fmt.Errorf("latchd: Wait must be from 0, not %v", w.wait)
	case w.delay < 0:
		return fmt.Errorf("latchd: LockDelay must be from 0, not %v", w.delay)
	case w.size != 0 && w.mode != "":
		return errors.New("latchd: Shared goes without Size: a counted lock is neither shared nor exclusive")
	case w.weight != 0 && w.size == 0:
		return errors.New("latchd: Weight goes with Size: only a counted lock has places")
	case counted && len(w.places) > 1:
		return errors.New("latchd: Size goes with one name: several are shared or exclusive")
	case w.campaign && (counted || w.mode != "" || len(w.places) > 1 || w.delay != 0):
		return errors.New("latchd: an election has one name, and no Size, Shared or LockDelay")
	}
	for _, each := range append(w.names(), w.value) {
		if !utf8.ValidString(each) {
			return fmt.Errorf("latchd: names and values are UTF-8, not %q", each)
		}
	}
	return nil
}

func (w *wanted) names() []string {
	names := make([]string, 0, len(w.places))
	for _, each := range w.places {
		names = append(names, each.name)
	}
	return names
}

// shown is the names, for a message.
func (w *wanted) shown() string {
	quoted := make([]string, 0, len(w.places))
	for _, each := range w.places {
		quoted = append(quoted, strconv.Quote(each.name))
	}
	return strings.Join(quoted, ", ")
}

// body is the request, except for its wait.
func (w *wanted) body() map[string]any {
	body := map[string]any{}
	if len(w.metadata) > 0 {
		body["metadata"] = w.metadata
	}
	if w.campaign {
		body["value"], body["lease_seconds"] = w.value, w.lease.Seconds()
		return body
	}
	body["lock_timeout_seconds"] = w.lease.Seconds()
	if len(w.places) > 1 {
		names := make([]any, 0, len(w.places))
		for _, each := range w.places {
			if each.mode == "" {
				names = append(names, each.name)
			} else {
				names = append(names, map[string]string{"name": each.name, "mode": each.mode})
			}
		}
		body["names"] = names
	} else {
		body["name"] = w.places[0].name
		if mode := w.places[0].mode; mode != "" {
			body["mode"] = mode
		} else {
			// As older services want it.
			body["size"] = max(1, w.size)
		}
	}
	if w.weight > 0 {
		body["weight"] = w.weight
	}
	if w.delay > 0 {
		body["lock_delay_seconds"] = w.delay.Seconds()
	}
	return body
}

// ofHold is how a request names a hold.
func ofHold(names []string) map[string]any {
	if len(names) == 1 {
		return map[string]any{"name": names[0]}
	}
	return map[string]any{"names": names}
}

const (
	// resultGrace is how long after the end of a wait its result may still arrive.
	resultGrace = 300 * time.Millisecond
	// onceLimit and shortestLimit are the shortest time limits of a call that tries once, and of a wait.
	onceLimit     = 2 * time.Second
	shortestLimit = time.Second
)

// limits are the times of one acquire.
type limits struct {
	// When the lock is waited for no longer; the past where it is tried once.
	over moment
	// When nothing goes on any more, whatever the other end does.
	ends moment
	// When no attempt begins any more while no node answers; 0: so long after the last answer.
	until moment
	// Whether the deadline of the context ends the wait.
	byContext bool
}

func (c *Client) limits(ctx context.Context, wait time.Duration, hasWait bool) limits {
	if !hasWait || wait > math.MaxInt64/2 {
		wait = math.MaxInt64
	}
	byContext := false
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left -= min(left/5, lookLimit/2); left < wait {
			wait, byContext = max(left, time.Millisecond), true
		}
	}
	began := now()
	switch {
	case wait == math.MaxInt64:
		return limits{over: never, ends: never}
	case wait == 0:
		return limits{over: began, ends: began.after(onceLimit), until: began.after(min(c.patience, onceLimit))}
	}
	over := began.after(wait)
	ends := began.after(max(wait+resultGrace, shortestLimit))
	l := limits{over: over, ends: ends, until: over, byContext: byContext}
	if byContext {
		// A deadline is no wish to wait so long for a service that is not there.
		l.until = 0
	}
	return l
}

// patience is that of one call within these limits; open is how long one attempt may stand open if it waits.
func (l limits) patience(c *Client, open time.Duration) patience {
	p := c.usual()
	p.ends = l.ends
	if l.until != 0 {
		p.until = l.until
	}
	if open > 0 {
		p.attempt, p.waits = open, true
	}
	return p
}
