package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// UnitPath is where the systemd unit of the embedded engine goes.
const UnitPath = "/etc/systemd/system/stack.service"

// Unit is a systemd unit that runs the engine from boot on. Only the engine's own process belongs to the service in
// the sense of being killed with it: containers outlive a stop, a restart and an upgrade.
func Unit(t Target, program string) string {
	return fmt.Sprintf(`[Unit]
Description=stack engine
After=network-online.target local-fs.target
Wants=network-online.target

[Service]
Type=notify
Environment=%s %s
ExecStart=%s engine run --idle 0
KillMode=process
Delegate=yes
Restart=on-failure
RestartSec=1
TasksMax=infinity
LimitNOFILE=1048576
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`, quoteUnit("STACK_ROOT="+t.Root), quoteUnit("STACK_RUN="+t.Run), quoteUnit(program))
}

// quoteUnit quotes a word as systemd.syntax(7) says. A percent sign would start a specifier.
func quoteUnit(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(word) + `"`
}

// HasSystemd reports whether systemd manages this machine. See sd_booted(3).
func HasSystemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Enable writes the unit, lets systemd read it and starts the engine now and at every boot.
func Enable(ctx context.Context, t Target, program string) error {
	if !HasSystemd() {
		return errors.New("systemd does not manage this machine")
	}
	if err := os.MkdirAll(filepath.Dir(UnitPath), 0o755); err != nil {
		return fmt.Errorf("cannot write the unit: %w", err)
	}
	if err := os.WriteFile(UnitPath, []byte(Unit(t, program)), 0o644); err != nil {
		return fmt.Errorf("cannot write the unit: %w", err)
	}
	if _, err := Stop(ctx, t); err != nil { // the service takes its place
		return err
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", filepath.Base(UnitPath)}} {
		out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("cannot enable the engine: systemctl %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
