package latchd

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// behaviours is the tests of the rows of clients/README.md, by their identifiers.
var behaviours = map[string]func(*testing.T){}

// behaviour adds the test of one row.
func behaviour(row string, test func(*testing.T)) bool {
	if behaviours[row] != nil {
		panic("two tests of " + row)
	}
	behaviours[row] = test
	return true
}

func TestBehaviour(t *testing.T) {
	t.Parallel()
	for row, test := range behaviours {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func TestEveryRowOfTheTableHasATestAndEveryTestARow(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	must(t, err)
	rows := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllSubmatch(page, -1) {
		rows[string(found[1])] = true
	}
	check(t, len(rows) > 30, "only %d rows were found", len(rows))
	var missing []string
	for row := range rows {
		if behaviours[row] == nil {
			missing = append(missing, "no test: "+row)
		}
	}
	for row := range behaviours {
		if !rows[row] {
			missing = append(missing, "no row: "+row)
		}
	}
	slices.Sort(missing)
	check(t, len(missing) == 0, "%v", missing)
}
