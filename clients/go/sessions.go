package latchd

import (
	"context"
	"slices"
	"sync"
	"time"
)

// The service looks for deadlocks among sessions, so each owner that holds locks or waits for them has its own. One that
// does neither any more leaves it to the next.

// owner is who takes locks: what a context says, or one call.
type owner struct {
	// Guarded by the mutex of the sessions; nil while it neither holds nor waits.
	session *session
}

// session is one that was opened.
type session struct {
	id secret
	// How long it lives without a request.
	idle time.Duration

	// Guarded by the mutex of the sessions.
	owner *owner
	// How many holds and waits it is for.
	uses int
	// When it was last used, once it is free.
	freed moment
	ended bool
}

// sessions are those of one client. Each use of one ends by leave or by end.
type sessions struct {
	mu   sync.Mutex
	open map[*session]struct{}
	// Of these, those without an owner; the last one was used last.
	free []*session
	// Of these, those whose id was given away, for holds that come; the oldest first.
	reserved []*session
}

// take gives an owner its session, or one that is free; nil if one has to be opened.
func (s *sessions) take(own *owner, fresh bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim()
	if own.session == nil && !fresh && len(s.free) > 0 {
		last := len(s.free) - 1
		own.session, s.free = s.free[last], s.free[:last]
		own.session.owner = own
	}
	if own.session != nil {
		own.session.uses++
	}
	return own.session
}

// give gives an owner a session that was opened for it. Another one of it may have been faster.
func (s *sessions) give(own *owner, opened *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if opened.ended {
		return opened
	}
	if own.session == nil {
		own.session, opened.owner = opened, own
	} else {
		s.release(opened)
	}
	own.session.uses++
	return own.session
}

// add is for a session that was opened; it is in use until it is given to an owner, put back or reserved.
func (s *sessions) add(opened *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*session]struct{}{}
	}
	s.open[opened] = struct{}{}
}

// put leaves a session that was opened to the next owner.
func (s *sessions) put(opened *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !opened.ended {
		s.release(opened)
	}
}

// reserve keeps a session that was opened for a hold that comes.
func (s *sessions) reserve(opened *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !opened.ended {
		opened.freed = now()
		s.reserved = append(s.reserved, opened)
	}
}

// leave ends one use.
func (s *sessions) leave(used *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used.uses--
	if used.uses > 0 || used.ended {
		return
	}
	s.part(used)
	s.release(used)
}

func (s *sessions) release(unused *session) {
	unused.freed = now()
	s.free = append(s.free, unused)
}

// end takes out a session that is no more.
func (s *sessions) end(gone *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(gone)
}

// endAlone takes out a session if nothing else uses it; whether it did. The caller ends its use in any case.
func (s *sessions) endAlone(used *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used.uses > 1 || used.ended {
		used.uses--
		return false
	}
	s.remove(used)
	return true
}

// find gives an owner the session with this id, if it is one of these.
func (s *sessions) find(own *owner, id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for each := range s.open {
		if each.id() != id {
			continue
		}
		if each.owner == nil {
			s.unlist(each)
			each.owner, own.session = own, each
		}
		each.uses++
		return each
	}
	return nil
}

// all takes out every session.
func (s *sessions) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*session
	for each := range s.open {
		all = append(all, each)
	}
	for _, each := range all {
		s.remove(each)
	}
	return all
}

func (s *sessions) remove(gone *session) {
	gone.ended = true
	s.part(gone)
	delete(s.open, gone)
	s.unlist(gone)
}

func (s *sessions) unlist(listed *session) {
	isIt := func(each *session) bool { return each == listed }
	s.free = slices.DeleteFunc(s.free, isIt)
	s.reserved = slices.DeleteFunc(s.reserved, isIt)
}

func (s *sessions) part(left *session) {
	if left.owner != nil {
		left.owner.session, left.owner = nil, nil
	}
}

// trim forgets unused sessions that will have ended by themselves.
func (s *sessions) trim() {
	for _, list := range []*[]*session{&s.free, &s.reserved} {
		for len(*list) > 0 && (*list)[0].freed.after((*list)[0].idle*9/10).left() == 0 {
			s.remove((*list)[0])
		}
	}
}

type ownerKey struct{ client *Client }

// WithOwner gives a context of an owner of its own: the locks that are taken with it count as held by one, among whom the
// service finds no deadlock, but between whom and others it does. See the overview of this package.
func (c *Client) WithOwner(ctx context.Context) context.Context {
	return c.with(ctx, &owner{})
}

func (c *Client) with(ctx context.Context, own *owner) context.Context {
	return context.WithValue(ctx, ownerKey{c}, own)
}

// ownerOf is the owner that a context says, or a new one.
func (c *Client) ownerOf(ctx context.Context) *owner {
	if own, ok := ctx.Value(ownerKey{c}).(*owner); ok {
		return own
	}
	return &owner{}
}
