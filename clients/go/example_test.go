package latchd_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	latchd "github.com/latchd/latchd/clients/go"
)

// serviceURL is that of a started server here, and https://127.0.0.1:8443 after `latchd serve`.
var serviceURL = latchd.ServiceURL

// Work under a lock. The context of the work ends when the lock is lost.
func Example() {
	client, err := latchd.New(serviceURL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	opts := latchd.Options{latchd.Wait(10 * time.Second), latchd.Metadata(map[string]string{"job": "nightly"})}
	err = client.Do(context.Background(), "report", opts, func(ctx context.Context, hold *latchd.Hold) error {
		for _, part := range []string{"collect", "write", "send"} {
			if err := hold.Check(); err != nil { // an ErrLockLost
				return err
			}
			fmt.Println(part, "under a fencing token:", hold.Token() > 0)
		}
		return ctx.Err()
	})
	if errors.Is(err, latchd.ErrNotAcquired) {
		fmt.Println("not now:", err) // names the holders
	} else if err != nil {
		log.Fatal(err)
	}
	// Output:
	// collect under a fencing token: true
	// write under a fencing token: true
	// send under a fencing token: true
}

// Two accounts at once, readers and a writer, places, and a hold that moves to another client.
func ExampleClient_Lock() {
	ctx := context.Background()
	client, err := latchd.New(serviceURL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	other, err := latchd.New(serviceURL())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()

	// Whoever takes them in the other order does not block this.
	both, err := client.Lock(ctx, "accounts/7", latchd.And("accounts/9"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("both:", both.Names())
	defer both.Release(ctx)

	// Many read, one writes; a reader that finds work to do becomes the writer.
	reader, err := client.Lock(ctx, "index", latchd.Shared())
	if err != nil {
		log.Fatal(err)
	}
	if err := reader.Upgrade(ctx, latchd.Wait(10*time.Second)); err != nil {
		log.Fatal(err)
	}
	fmt.Println("alone:", reader.Check() == nil)

	// 24 of the 64 places. After a loss, nobody gets any of them for a minute.
	memory, err := client.Lock(ctx, "memory-gb", latchd.Size(64), latchd.Weight(24), latchd.LockDelay(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	defer memory.Release(ctx)

	// The other client, which may be in another process, goes on with a hold.
	session, err := other.SessionID(ctx)
	if err != nil {
		log.Fatal(err)
	}
	given, err := reader.Transfer(ctx, session)
	if err != nil {
		log.Fatal(err)
	}
	taken, err := other.Adopt(ctx, given)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("taken over:", taken.Name())
	defer taken.Release(ctx)
	// Output:
	// both: [accounts/7 accounts/9]
	// alone: true
	// taken over: index
}

// Lead an election, and look up who leads.
func ExampleClient_Lead() {
	client, err := latchd.New(serviceURL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	err = client.Lead(context.Background(), "scheduler", "10.0.0.7:8080", nil,
		func(ctx context.Context, lead *latchd.Leadership) error {
			leader, err := client.Leader(ctx, "scheduler")
			if err != nil {
				return err
			}
			fmt.Println(leader.Value, "leads; nobody else for a while:", leader.ReliableFor() > 0)
			return lead.Check()
		})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 10.0.0.7:8080 leads; nobody else for a while: true
}

// A sync.Locker for code that expects one.
func ExampleClient_Locker() {
	client, err := latchd.New(serviceURL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	locker := client.Locker("cache")
	locker.Lock()
	defer locker.Unlock()
	fmt.Println("held under a fencing token:", locker.Hold().Token() > 0)
	// Output:
	// held under a fencing token: true
}
