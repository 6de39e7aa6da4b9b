package latchd

import "context"

// until is a context that also ends with the client.
func (c *Client) until(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.closing, func() { cancel(ErrClosed) })
	if c.closing.Err() != nil {
		cancel(ErrClosed)
	}
	return ctx, func() { stop(); cancel(context.Canceled) }
}

// background runs work that Close waits for; false if the client is closed.
func (c *Client) background(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Add(1)
	go func() {
		defer c.work.Done()
		work()
	}()
	return true
}

// add keeps a hold until it has ended; false if the client is closed.
func (c *Client) add(hold *Hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.holds[hold] = struct{}{}
	}
	return !c.closed
}

func (c *Client) forget(hold *Hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.holds, hold)
}

// heldIn is the holds of a session, or all of them.
func (c *Client) heldIn(which *session) []*Hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*Hold
	for hold := range c.holds {
		if which == nil || hold.session == which {
			found = append(found, hold)
		}
	}
	return found
}

// holdsOneOf tells whether one of these is a hold of this client.
func (c *Client) holdsOneOf(holders []Holder) bool {
	for _, hold := range c.heldIn(nil) {
		for _, holder := range holders {
			if holder.Token == hold.Token() {
				return true
			}
		}
	}
	return false
}
