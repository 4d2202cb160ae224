package watch

// Source reports what happens in directories. One user has it and closes it.
type Source interface {
	// Add begins to watch the directory: its entries and itself, not what is in the directories below it. From when it returns
	// nothing that happens in it is missed. A path that has become another directory since is watched anew; one that is
	// watched already is no error. Errors: fs.ErrNotExist, a *Limit, or why it cannot be watched.
	Add(dir string) error

	// Remove ends that. Events that were under way may still come. What is not watched, or gone, is no mistake.
	Remove(dir string)

	// Events is closed by Close. Whoever does not read it for long makes events get lost, which is told.
	Events() <-chan Event

	Close() error
}

// Event says that something has happened. What it was is for whoever looks.
type Event struct {
	Dir  string // as it was given to Add
	Name string // of its entry that has come, gone, or changed; empty: the directory itself is no longer there, or another one
	Lost bool   // events were lost: anything may have happened anywhere. The other fields are empty
}
