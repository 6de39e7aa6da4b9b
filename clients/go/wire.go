package latchd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Holder is a hold, as others may see it.
type Holder struct {
	// Token is its fencing token.
	Token uint64
	// Dialect in which it was taken.
	Dialect string
	// HeldFor is how long it had been held when the service answered.
	HeldFor time.Duration
	// Remaining is how long it lasted from then on unless it was renewed; negative without a lease.
	Remaining time.Duration
	// Owner is its owner label; empty in dialects that have none.
	Owner string
	// Metadata that the holder showed.
	Metadata map[string]string
	since    time.Time
}

// String names the holder by its metadata.
func (h Holder) String() string {
	var who []string
	user, host := h.Metadata["user"], h.Metadata["host"]
	if name := strings.Trim(user+"@"+host, "@"); name != "" {
		who = append(who, name)
	}
	if pid := h.Metadata["pid"]; pid != "" {
		who = append(who, "pid "+pid)
	}
	if h.Owner != "" {
		who = append(who, h.Owner)
	}
	if len(who) == 0 {
		who = []string{"somebody"}
	}
	var rest []string
	for key, value := range h.Metadata {
		if key != "user" && key != "host" && key != "pid" {
			rest = append(rest, fmt.Sprintf(", %s=%s", key, value))
		}
	}
	slices.Sort(rest)
	since := h.since.Format(time.DateTime)
	return printable(fmt.Sprintf("%s since %s (token %d%s)", strings.Join(who, " "), since, h.Token, strings.Join(rest, "")))
}

// Freeze says that an operator has frozen names: nothing new is granted under them until its end.
type Freeze struct {
	// Target is the name that is frozen, or what all frozen names start with; empty where everything is.
	Target string
	// Match is name, prefix or everything.
	Match string
	// Reason is the operator's.
	Reason string
	// Remaining is for how long it went on when the service answered, unless an operator ends it sooner.
	Remaining time.Duration
	// Until is the same by the clock of the service.
	Until time.Time
}

// String says what is frozen, until when and why.
func (f Freeze) String() string {
	what := strconv.Quote(f.Target) + " is"
	switch f.Match {
	case "everything":
		what = "everything is"
	case "prefix":
		what = fmt.Sprintf("all names that start with %q are", f.Target)
	}
	until := f.Until.UTC().Format(time.DateTime)
	return printable(fmt.Sprintf("%s frozen until %s UTC: %s", what, until, f.Reason))
}

// LockInfo is a lock and those who hold it.
type LockInfo struct {
	// Name of the lock.
	Name string
	// Size is how many may hold it at once; 0 if nobody holds it or waits for it.
	Size uint64
	// Mode is exclusive, shared or counted; empty if nobody holds it, or from services that do not know it.
	Mode string
	// QueueLength is how many wait for it.
	QueueLength int
	// Holders, oldest first.
	Holders []Holder
	// Frozen is what keeps it from being granted; nil if nothing does.
	Frozen *Freeze
	// DelayedFor is for how long nobody is granted it because of how its last hold ended; 0 without such a delay.
	DelayedFor time.Duration
}

// BlockedBy is one step of a deadlock: who waits for whom. Whoever is waited for waits in the next step, and in the last
// one for the first.
type BlockedBy struct {
	// Name of the lock; empty where this credential may not see it.
	Name string
	// HeldBy holds it or is ahead in its queue: the handle of a session, or an owner label.
	HeldBy string
	// WaitedForBy waits for it.
	WaitedForBy string
}

// String says who waits for what.
func (b BlockedBy) String() string {
	name := "another lock"
	if b.Name != "" {
		name = strconv.Quote(b.Name)
	}
	return printable(fmt.Sprintf("%s waits for %s, which %s has", b.WaitedForBy, name, b.HeldBy))
}

// secret is a text that package fmt never writes, whatever contains it: of a function it knows the address.
type secret func() string

func hidden(text string) secret { return func() string { return text } }

// granted is a hold as the service gave it.
type granted struct {
	// The only one, or all of them.
	names []string
	key   secret
	token uint64
	// As it was asked for.
	lease time.Duration
	// When the answered request had not been sent yet.
	sent moment
	// Until when it is certain.
	until   moment
	session *session
}

// longest is for how long a hold is certain after a request: the end of its session would end it too.
func (g *granted) longest() time.Duration { return min(g.lease, g.session.idle) }

// leaseEnd is until when a hold is certain, by the clock of whoever sent the answered request at that moment. It is less
// than the lease where the service tells of a hold that it has given before.
func leaseEnd(expiresIn *float64, lease time.Duration, sent moment) moment {
	if expiresIn == nil {
		return sent.after(lease)
	}
	return sent.after(min(lease, seconds(*expiresIn)))
}

// printable is the same without what moves the cursor of a terminal or turns the direction of writing.
func printable(text string) string {
	var out strings.Builder
	for _, each := range text {
		if unicode.IsPrint(each) {
			out.WriteRune(each)
		} else {
			out.WriteString(strings.Trim(strconv.QuoteRune(each), "'"))
		}
	}
	return out.String()
}
