package watch

// Source reports what happens in directories. One user has it and closes it.
//
// What it tells is where to look, never what to believe. Whoever adds a directory and then lists it misses nothing: what comes
// before the list is in it, what comes later is told. The same holds when a directory is added again after an Event without a
// Name, and all of them after one with Lost.
type Source interface {
	// Add begins to watch the directory, whose path is absolute and clean: its entries and itself, not what is in the directories
	// below it. From when it returns nothing that happens in it is missed. A path that has become another directory since is
	// watched anew; one that is watched already is no error and hardly any work. A symbolic link is followed. A directory may be
	// added under several paths. Errors: fs.ErrNotExist, a *Limit, a *Blind, or why it cannot be watched. With a *Blind it is
	// watched all the same, as far as its events reach this machine.
	Add(dir string) error

	// Remove ends that. Events that were under way may still come, even when the path leads through a symbolic link by then.
	// What is not watched, or gone, is no mistake.
	Remove(dir string)

	// Events is closed by Close. Whoever does not read it for long hears of the same thing once, and in the end that events
	// were lost.
	Events() <-chan Event

	// Close may be called again.
	Close() error
}

// Event says that something has happened. What it was is for whoever looks.
type Event struct {
	Dir string // as it was given to Add

	// Name is that of an entry of Dir which has come, gone, or changed: its content, its permissions, or its times. Empty: the
	// directory itself is gone, is another one, or has other permissions, or entries of it have come and gone whose names are
	// not known. It may not be watched any more: Add sees to it, and then it is to be listed.
	Name string

	Lost bool // events were lost: anything may have happened anywhere. The other fields are empty
}
