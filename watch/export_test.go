package watch

// When a batch is over, for the tests.
const (
	QuietTime = quietTime
	BatchTime = batchTime
)
