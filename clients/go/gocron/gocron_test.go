package latchdgocron

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	latchd "github.com/latchd/latchd/clients/go"
)

var url string

func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// withServer runs the tests beside a started server.
func withServer(tests func() int) (int, error) {
	binary := os.Getenv("LATCHD_BINARY")
	if binary == "" {
		built, err := filepath.Abs("../../../target/debug/latchd")
		if err != nil {
			return 1, err
		}
		binary = built
	}
	home, err := os.MkdirTemp("", "latchd-gocron-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(home)
	server := exec.Command(binary, "serve", "--listen", "http://127.0.0.1:0", "--in-memory")
	server.Dir = home
	server.Env = []string{} // It would take LATCHD_BINARY for a setting.
	out, err := server.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, fmt.Errorf("set LATCHD_BINARY to the built latchd: %w", err)
	}
	defer func() { _ = server.Process.Kill(); _, _ = server.Process.Wait() }()
	line, _ := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if !strings.Contains(line, "listening on") {
		return 1, fmt.Errorf("the server did not start: %q", line)
	}
	url = words[len(words)-1]
	return tests(), nil
}

func connect(t *testing.T) *latchd.Client {
	t.Helper()
	client, err := latchd.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// schedule starts a scheduler with a job that runs at once.
func schedule(t *testing.T, job func(), options ...gocron.SchedulerOption) gocron.Scheduler {
	t.Helper()
	scheduler, err := gocron.NewScheduler(options...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = scheduler.NewJob(gocron.DurationJob(time.Hour), gocron.NewTask(job), gocron.WithName("nightly"),
		gocron.WithStartAt(gocron.WithStartImmediately()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = scheduler.Shutdown() })
	scheduler.Start()
	return scheduler
}

func TestJobRunsOnOneOfTwoSchedulersAndKeepsItsLock(t *testing.T) {
	t.Parallel()
	runs := make(chan string, 4)
	for _, who := range []string{"one", "two"} {
		locker := Locker{Client: connect(t), Prefix: "job/", Keep: 8 * time.Second, Options: latchd.Options{latchd.Lease(10 * time.Second)}}
		schedule(t, func() { runs <- who }, gocron.WithDistributedLocker(locker))
	}
	await(t, runs)
	other := connect(t)
	hold, err := other.Lock(context.Background(), "job/nightly", latchd.Wait(50*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 0 {
		t.Fatal("it ran twice")
	}
	if _, err := (Locker{Client: connect(t), Prefix: "job/"}).Lock(context.Background(), "nightly"); !errors.Is(err, latchd.ErrNotAcquired) {
		t.Fatal(err)
	}
	_ = hold.Release(context.Background())
	lock, err := Locker{Client: other}.Lock(context.Background(), "at once")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(context.Background()); err != nil {
		t.Fatal(err)
	}
	if shown, err := other.Show(context.Background(), "at once"); err != nil || len(shown.Holders) != 0 {
		t.Fatal(shown, err)
	}
}

func TestJobRunsWhereTheElectorLeadsAndThenAtTheNextLeader(t *testing.T) {
	t.Parallel()
	client := connect(t)
	first := NewElector(client, "schedulers", "one", latchd.Lease(8*time.Second))
	until(t, func() bool { return first.IsLeader(context.Background()) == nil })
	second := NewElector(connect(t), "schedulers", "two", latchd.Lease(8*time.Second))
	defer second.Close()
	if err := second.IsLeader(context.Background()); !errors.Is(err, ErrNotLeader) {
		t.Fatal(err)
	}
	var skipped, ran atomic.Int32
	ranHere := make(chan string, 1)
	schedule(t, func() { skipped.Add(1) }, gocron.WithDistributedElector(second))
	schedule(t, func() { ran.Add(1); ranHere <- "one" }, gocron.WithDistributedElector(first))
	await(t, ranHere)
	first.Close()
	if err := first.IsLeader(context.Background()); !errors.Is(err, ErrNotLeader) {
		t.Fatal(err)
	}
	until(t, func() bool { return second.IsLeader(context.Background()) == nil })
	leader, err := client.Leader(context.Background(), "schedulers")
	if err != nil || leader.Value != "two" {
		t.Fatal(leader, err)
	}
	if skipped.Load() != 0 || ran.Load() != 1 {
		t.Fatal(skipped.Load(), ran.Load())
	}
}

func TestElectorOfAClosedClientTellsWhyItDoesNotLead(t *testing.T) {
	t.Parallel()
	client := connect(t)
	_ = client.Close()
	elector := NewElector(client, "closed", "one")
	elector.Close()
	if err := elector.IsLeader(context.Background()); !errors.Is(err, ErrNotLeader) {
		t.Fatal(err)
	}
}

func await(t *testing.T, from <-chan string) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(time.Minute):
		t.Fatal("it did not run in 15 s")
	}
}

func until(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to be in 15 s")
		}
	}
}

// The program of the page runs as it stands there, but for the port and the certificate.
func TestProgramOfTheReadmeRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^```go gocron\n(.*?)^```$").FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no such program")
	}
	program := strings.Replace(string(found[1]), `"https://127.0.0.1:8443", latchd.WithRootsFile("certs/dev-cert.pem")`, fmt.Sprintf("%q", url), 1)
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	// In this module, so that it is built from here.
	folder, err := os.MkdirTemp(here, "_readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	// As these tests are built, so that no other library is.
	said, err := exec.Command("go", "run", "-race", filepath.Join(folder, "main.go")).CombinedOutput()
	if err != nil || string(said) != "running on one machine\n" {
		t.Fatalf("%v: %s", err, said)
	}
}
