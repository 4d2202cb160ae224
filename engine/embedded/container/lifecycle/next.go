package lifecycle

import (
	"time"

	"github.com/docker/docker/api/types/container"
)

// Next returns the state after the event and what to do. An event that means nothing in the state changes nothing.
func Next(s State, rules Rules, e Event) (State, []Action) {
	switch e := e.(type) {
	case StartAsked:
		return startAsked(s)
	case Started:
		return started(s, e)
	case StartFailed:
		return startFailed(s, rules, e)
	case ExitSeen:
		return exitSeen(s, rules, e)
	case StopAsked:
		return stopAsked(s)
	case PauseDone:
		return swap(s, Running, Paused), nil
	case ResumeDone:
		return swap(s, Paused, Running), nil
	case RestartDue:
		if s.Phase == Restarting {
			return s, []Action{Launch{}}
		}
		return s, nil
	case Reopened:
		return reopened(s, rules, e)
	case RulesChanged:
		return rulesChanged(s, rules)
	case RemoveAsked:
		return removeAsked(s)
	case RemoveFailed:
		s.Phase, s.Error = Dead, e.Error
		return s, nil
	default:
		return s, nil
	}
}

func startAsked(s State) (State, []Action) {
	switch s.Phase {
	case Created, Exited:
		return reset(s), []Action{Launch{}}
	case Restarting:
		// The user does not want to wait for the back-off.
		s = reset(s)
		s.Phase = Exited
		return s, []Action{CancelRestart{}, Launch{}}
	default:
		return s, nil
	}
}

func reset(s State) State {
	s.RestartCount, s.Backoff, s.Stopped = 0, 0, false
	return s
}

func started(s State, e Started) (State, []Action) {
	if s.Phase == Removing || s.Phase == Dead {
		return s, nil
	}
	s.Phase, s.Pid, s.StartedAt = Running, e.Pid, e.At
	s.ExitCode, s.Error, s.OOMKilled = 0, "", false
	return s, nil
}

func startFailed(s State, rules Rules, e StartFailed) (State, []Action) {
	if s.Phase == Removing || s.Phase == Dead {
		return s, nil
	}
	automatic := s.Phase == Restarting
	s.Pid, s.ExitCode, s.Error, s.OOMKilled = 0, e.Code, e.Error, false
	if !automatic {
		if rules.AutoRemove {
			return s, []Action{Remove{}}
		}
		return s, nil
	}
	s.FinishedAt = e.At
	return afterEnd(s, rules, 0)
}

func exitSeen(s State, rules Rules, e ExitSeen) (State, []Action) {
	if !s.Active() {
		return s, nil
	}
	ran := e.At.Sub(s.StartedAt)
	s.Pid, s.ExitCode, s.OOMKilled, s.FinishedAt = 0, e.Code, e.OOM, e.At
	return afterEnd(s, rules, ran)
}

// afterEnd decides what follows the end of a process that ran for that long.
func afterEnd(s State, rules Rules, ran time.Duration) (State, []Action) {
	if wantsRestart(s, rules.Restart) {
		s.Phase = Restarting
		s.Backoff = nextBackoff(s, ran)
		s.RestartCount++
		return s, []Action{RestartAfter{s.Backoff}}
	}
	s.Phase = Exited
	if rules.AutoRemove {
		return s, []Action{Remove{}}
	}
	return s, nil
}

func wantsRestart(s State, policy container.RestartPolicy) bool {
	if s.Stopped {
		return false
	}
	switch policy.Name {
	case container.RestartPolicyAlways, container.RestartPolicyUnlessStopped:
		return true
	case container.RestartPolicyOnFailure:
		return s.ExitCode != 0 && (policy.MaximumRetryCount == 0 || s.RestartCount < policy.MaximumRetryCount)
	default:
		return false
	}
}

func nextBackoff(s State, ran time.Duration) time.Duration {
	switch {
	case s.RestartCount == 0 || ran >= SteadyAfter:
		return 0
	case s.Backoff == 0:
		return FirstBackoff
	default:
		return min(2*s.Backoff, LongestBackoff)
	}
}

func stopAsked(s State) (State, []Action) {
	switch s.Phase {
	case Running, Paused:
		s.Stopped = true
		return s, nil
	case Restarting:
		s.Stopped, s.Phase = true, Exited
		return s, []Action{CancelRestart{}}
	default:
		return s, nil
	}
}

// reopened starts what was meant to run when the last engine went away. A container that the user ended stays so.
func reopened(s State, rules Rules, e Reopened) (State, []Action) {
	switch s.Phase {
	case Restarting:
		return s, []Action{RestartAfter{max(0, s.FinishedAt.Add(s.Backoff).Sub(e.At))}}
	case Removing, Dead:
		return s, []Action{Remove{}}
	case Exited:
		if rules.AutoRemove {
			return s, []Action{Remove{}}
		}
		if wantsRestart(s, rules.Restart) {
			s.Phase = Restarting
			return s, []Action{RestartAfter{0}}
		}
		return s, nil
	default:
		return s, nil
	}
}

func rulesChanged(s State, rules Rules) (State, []Action) {
	if s.Phase == Restarting && !wantsRestart(s, rules.Restart) {
		s.Phase = Exited
		return s, []Action{CancelRestart{}}
	}
	return s, nil
}

func removeAsked(s State) (State, []Action) {
	waiting := s.Phase == Restarting
	s.Phase, s.Pid = Removing, 0
	if waiting {
		return s, []Action{CancelRestart{}}
	}
	return s, nil
}

func swap(s State, from, to Phase) State {
	if s.Phase == from {
		s.Phase = to
	}
	return s
}
