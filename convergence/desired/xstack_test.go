package desired

import (
	"strings"
	"testing"
)

func TestRestartUnhealthy(t *testing.T) {
	for _, tc := range []struct {
		name, project, service string
		want                   bool
	}{
		{"not said", "", "", false},
		{"of the service", "", "{restart_unhealthy: true}", true},
		{"of the project", "{restart_unhealthy: true}", "", true},
		{"the service counts", "{restart_unhealthy: true}", "{restart_unhealthy: false}", false},
		{"of a variable", "", `{restart_unhealthy: "true"}`, true},
		{"empty", "", "{}", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "services:\n  web:\n    image: w\n"
			if tc.service != "" {
				text += "    x-stack: " + tc.service + "\n"
			}
			if tc.project != "" {
				text += "x-stack: " + tc.project + "\n"
			}
			d := from(t, text)
			if got := d.Services[0].RestartUnhealthy; got != tc.want {
				t.Errorf("got %t", got)
			}
			if plain := from(t, "services:\n  web:\n    image: w\n"); d.Services[0].Containers[0].Hash != plain.Services[0].Containers[0].Hash {
				t.Error("it makes another container")
			}
		})
	}
}

func TestMistakesInXStack(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{
			"services:\n  web:\n    image: w\n    x-stack: {restart_unhealty: true}\n",
			`compose.yaml:4:15: x-stack has no key "restart_unhealty"; it has on_change, restart_unhealthy` + "|" + `did you mean "restart_unhealthy"?`,
		},
		{"services:\n  web:\n    image: w\nx-stack:\n  keep: true\n", `compose.yaml:5:3: x-stack has no key "keep"`},
		{"services:\n  web:\n    image: w\nx-stack:\n  on_change: restart\n", "compose.yaml:5:3: on_change is a key of x-stack on services|below the services"},
		{"services:\n  web:\n    image: w\n    x-stack: [restart_unhealthy]\n", "compose.yaml:4:5: x-stack is a mapping"},
		{"services:\n  web:\n    image: w\n    x-stack: {restart_unhealthy: 1}\n", "restart_unhealthy is true or false"},
	} {
		_, _, err := FromProject(load(t, tc.text), Input{})
		if err == nil {
			t.Errorf("not refused:\n%s", tc.text)
			continue
		}
		for part := range strings.SplitSeq(tc.want, "|") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("got %v\nwant %s", err, part)
			}
		}
	}
}

func TestMayFail(t *testing.T) {
	for _, tc := range []struct {
		update     Update
		containers int
		want       int
	}{
		{Update{}, 3, 0},
		{Update{MaxFailureRatio: 0.3}, 3, 0},
		{Update{MaxFailureRatio: 0.34}, 3, 1},
		{Update{MaxFailureRatio: 0.7}, 10, 7},
		{Update{MaxFailureRatio: 1}, 3, 3},
		{Update{OnFailure: FailureContinue}, 3, 3},
	} {
		if got := tc.update.MayFail(tc.containers); got != tc.want {
			t.Errorf("%+v of %d: got %d, want %d", tc.update, tc.containers, got, tc.want)
		}
	}
}
