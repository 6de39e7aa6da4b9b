// The published lock libraries of Go against the Redis protocol of a started server, as their users call them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// check ends the program unless this is so.
func check(so bool, what string, details ...any) {
	if !so {
		log.Fatalln(append([]any{"failed:", what}, details...)...)
	}
}

func mutexes(client *redis.Client) {
	locks := redsync.New(goredis.NewPool(client))
	options := []redsync.Option{redsync.WithExpiry(30 * time.Second), redsync.WithTries(1)}
	one, other := locks.NewMutex("redsync", options...), locks.NewMutex("redsync", options...)
	check(one.Lock() == nil, "a free lock")
	var taken *redsync.ErrTaken
	check(errors.As(other.Lock(), &taken), "a held lock")
	extended, err := one.Extend()
	check(extended && err == nil, "to extend", err)
	valid, err := one.Valid()
	check(valid && err == nil, "validity", err)
	released, err := other.Unlock()
	check(!released, "a release by another")
	check(errors.As(err, &taken), "why not", err)
	released, err = one.Unlock()
	check(released && err == nil, "to release", err)
	released, err = one.Unlock()
	check(!released && err != nil, "a second release")
	reusing := locks.NewMutex("redsync", append(options, redsync.WithSetNXOnExtend())...)
	check(reusing.Lock() == nil, "a released lock")
	check(client.Del(context.Background(), "redsync").Val() == 1, "a forced release")
	extended, err = reusing.Extend()
	check(extended && err == nil, "to take again what is free", err)
	_, _ = reusing.Unlock()
}

func redislocks(client *redis.Client) {
	ctx, locks := context.Background(), redislock.New(client)
	lock, err := locks.Obtain(ctx, "bsm", 30*time.Second, nil)
	check(err == nil, "a free lock", err)
	_, err = locks.Obtain(ctx, "bsm", 30*time.Second, nil)
	check(errors.Is(err, redislock.ErrNotObtained), "a held lock", err)
	again, err := locks.Obtain(ctx, "bsm", 30*time.Second, &redislock.Options{Token: lock.Token()})
	check(err == nil && again.Token() == lock.Token(), "the holder's token", err)
	remaining, err := lock.TTL(ctx)
	check(err == nil && remaining > 29*time.Second, "what remains", remaining, err)
	check(lock.Refresh(ctx, time.Minute, nil) == nil, "to refresh")
	check(lock.Release(ctx) == nil, "to release")
	check(errors.Is(lock.Release(ctx), redislock.ErrLockNotHeld), "a second release")
	check(errors.Is(lock.Refresh(ctx, time.Minute, nil), redislock.ErrNotObtained), "to refresh what is not held")
}

func main() {
	for protocol := 2; protocol <= 3; protocol++ {
		options, err := redis.ParseURL(os.Args[1])
		check(err == nil, "the URL", err)
		options.Protocol = protocol
		client := redis.NewClient(options)
		mutexes(client)
		redislocks(client)
		token := client.Do(context.Background(), "LATCHD.TOKEN", "bsm")
		check(errors.Is(token.Err(), redis.Nil), "no token without a hold")
		check(client.Close() == nil, "the end")
	}
	fmt.Println("all passed")
}
