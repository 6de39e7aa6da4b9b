package latchd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// common is a started server for the tests that neither end nor stop theirs.
var common *server

func TestMain(m *testing.M) {
	flag.Parse()
	// Mostly they wait, so more than there are processors.
	if err := flag.Set("test.parallel", "10"); err != nil {
		panic(err)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(nowhere{}, nil)))
	var err error
	if common, err = launch("http://127.0.0.1:0", nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	common.end()
	os.Exit(code)
}

type nowhere struct{}

func (nowhere) Write(text []byte) (int, error) { return len(text), nil }

// server is the real one, as a child process.
type server struct {
	url     string
	home    string
	process *exec.Cmd
}

func binary() string {
	if found := os.Getenv("LATCHD_BINARY"); found != "" {
		return found
	}
	built, err := filepath.Abs("../../target/debug/latchd")
	if err != nil {
		panic(err)
	}
	return built
}

// launch starts a server, which keeps nothing unless it gets a data directory.
func launch(listen string, environment []string, arguments ...string) (*server, error) {
	home, err := os.MkdirTemp("", "latchd-go-")
	if err != nil {
		return nil, err
	}
	if !strings.Contains(strings.Join(arguments, " "), "--data-dir") {
		arguments = append(arguments, "--in-memory")
	}
	command := exec.Command(binary(), append([]string{"serve", "--listen", listen}, arguments...)...)
	command.Dir = home
	for _, each := range os.Environ() {
		if !strings.HasPrefix(each, "LATCHD_") {
			command.Env = append(command.Env, each)
		}
	}
	command.Env = append(command.Env, environment...)
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("set LATCHD_BINARY to the built latchd: %w", err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if !strings.Contains(line, "listening on") {
		_ = command.Process.Kill()
		return nil, fmt.Errorf("the server did not start: %q", line)
	}
	words := strings.Fields(line)
	return &server{url: words[len(words)-1], home: home, process: command}, nil
}

// start is a server of the test's own.
func start(t *testing.T, arguments ...string) *server {
	return startWith(t, "http://127.0.0.1:0", nil, arguments...)
}

func startWith(t *testing.T, listen string, environment []string, arguments ...string) *server {
	t.Helper()
	started, err := launch(listen, environment, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.end)
	return started
}

// ask sends a request of an operator, and reads the answer into a place.
func (s *server) ask(t *testing.T, method, path string, query url.Values, body, into any, headers ...string) {
	t.Helper()
	var sent []byte
	if body != nil {
		var err error
		sent, err = json.Marshal(body)
		must(t, err)
	}
	request, err := http.NewRequest(method, s.url+path+"?"+query.Encode(), bytes.NewReader(sent))
	must(t, err)
	for n := 0; n+1 < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	told, err := io.ReadAll(response.Body)
	must(t, err)
	check(t, response.StatusCode < 300, "%s %s: %s", method, path, told)
	if into != nil {
		must(t, json.Unmarshal(told, into))
	}
}

// freeze freezes for an hour.
func (s *server) freeze(t *testing.T, target, match, reason string) {
	t.Helper()
	body := map[string]any{"reason": reason, "for_seconds": 3600, "match": match}
	s.ask(t, "PUT", "/v1/freezes", url.Values{"target": {target}}, body, nil)
}

func (s *server) thaw(t *testing.T, target string) {
	t.Helper()
	s.ask(t, "DELETE", "/v1/freezes", url.Values{"target": {target}, "reason": {"done"}}, nil, nil)
}

func (s *server) kill() {
	_ = s.process.Process.Kill()
	_, _ = s.process.Process.Wait()
}

func (s *server) end() {
	s.kill()
	_ = os.RemoveAll(s.home)
}

// pause stops the process, and returns when each of its threads stands still; a running one would still answer.
func (s *server) pause(t *testing.T) {
	t.Helper()
	pid := s.process.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for !status.Stopped() {
		if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.resume)
}

func (s *server) resume() { _ = syscall.Kill(s.process.Process.Pid, syscall.SIGCONT) }

// connect is a client that is closed at the end of the test.
func connect(t *testing.T, url string, options ...ClientOption) *Client {
	t.Helper()
	client, err := New(url, options...)
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// pair is two clients of the common server.
func pair(t *testing.T) (one, two *Client) {
	return connect(t, common.url), connect(t, common.url)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustBe fails unless the error is one of that kind.
func mustBe(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("the error is %v, not %v", err, kind)
	}
}

func mustSay(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Fatalf("the error is %v, without %q", err, words)
	}
}

func check(t *testing.T, is bool, message string, arguments ...any) {
	t.Helper()
	if !is {
		t.Fatalf(message, arguments...)
	}
}

// locked takes a lock that is free or soon will be, and releases it at the end of the test.
func locked(t *testing.T, client *Client, name string, opts ...Option) *Hold {
	t.Helper()
	hold, err := client.Lock(testContext(t), name, append([]Option{Wait(10 * time.Second)}, opts...)...)
	must(t, err)
	t.Cleanup(func() { _ = hold.Release(context.Background()) })
	return hold
}

func release(t *testing.T, hold *Hold) {
	t.Helper()
	must(t, hold.Release(testContext(t)))
}

// isFree tells whether a lock could be taken now.
func isFree(t *testing.T, client *Client, name string, opts ...Option) bool {
	t.Helper()
	hold, err := client.TryLock(testContext(t), name, opts...)
	if errors.Is(err, ErrNotAcquired) {
		return false
	}
	must(t, err)
	release(t, hold)
	return true
}

// untilWaiting returns when so many wait for a lock.
func untilWaiting(t *testing.T, client *Client, name string, count int) {
	t.Helper()
	eventually(t, func() bool {
		shown, err := client.Show(testContext(t), name)
		must(t, err)
		return shown.QueueLength == count
	})
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(unhurried); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come to be in %v", unhurried)
		}
	}
}

// taking takes a lock in a goroutine.
func taking(t *testing.T, client *Client, ctx context.Context, name string, opts ...Option) <-chan taken {
	done := make(chan taken, 1)
	go func() {
		hold, err := client.Lock(ctx, name, opts...)
		done <- taken{hold, err}
	}()
	t.Cleanup(func() {
		select {
		case got := <-done:
			if got.hold != nil {
				_ = got.hold.Release(context.Background())
			}
		default:
		}
	})
	return done
}

type taken struct {
	hold *Hold
	err  error
}

// unhurried is for what comes late only if it never comes.
const unhurried = time.Minute

// within is what comes from a channel; a busy machine may keep it waiting.
func within[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(unhurried):
		t.Fatalf("nothing came within %v", unhurried)
		panic("unreachable")
	}
}

// took is how long some work took.
func took(work func()) time.Duration {
	began := time.Now()
	work()
	return time.Since(began)
}

// passed waits for so long, and fails if the hold is lost meanwhile.
func passed(t *testing.T, hold *Hold, duration time.Duration) {
	t.Helper()
	select {
	case <-hold.Lost():
		t.Fatalf("lost: %v", hold.Check())
	case <-time.After(duration):
	}
}

// testContext is a context that ends with the test.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*unhurried)
	t.Cleanup(cancel)
	return ctx
}

// ServiceURL is that of the common server, for the examples.
func ServiceURL() string { return common.url }
