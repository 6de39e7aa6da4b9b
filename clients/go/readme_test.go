package latchd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The programs of the page run as they stand there, but for the port.
func TestProgramsOfTheReadmeRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	must(t, err)
	server := startWith(t, "https://127.0.0.1:0", nil)
	here, err := filepath.Abs(".")
	must(t, err)
	shown := map[string]string{}
	for _, block := range regexp.MustCompile("(?ms)^```go (\\w+)\n(.*?)^```$").FindAllSubmatch(page, -1) {
		name, program := string(block[1]), strings.ReplaceAll(string(block[2]), "https://127.0.0.1:8443", server.url)
		if name == "gocron" {
			continue // It has a module of its own, whose tests run it.
		}
		// In this module, so that it is built from here.
		folder, err := os.MkdirTemp(here, "_readme-")
		must(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(folder) })
		must(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
		built := filepath.Join(folder, name)
		// As these tests are built, so that no other library is.
		command := exec.Command("go", "build", "-race", "-o", built, filepath.Join(folder, "main.go"))
		said, err := command.CombinedOutput()
		check(t, err == nil, "%s: %v: %s", name, err, said)
		run := exec.Command(built)
		run.Dir = server.home
		said, err = run.CombinedOutput()
		check(t, err == nil, "%s: %v: %s", name, err, said)
		shown[name] = string(said)
	}
	check(t, strings.Count(shown["example"], "under fencing token") == 3, "%q", shown)
	for _, words := range []string{"all under token", "another one still reads", "alone under", "taken over", "10.0.0.7:8080 leads"} {
		check(t, strings.Contains(shown["modes"], words), "%q: %q", words, shown)
	}
}
