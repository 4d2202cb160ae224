// Package sim tests convergence as a whole, in its test files: projects are brought up, changed, disturbed and taken down on
// an engine in memory.
//
// It has golden plans for every kind of difference (testdata/plans), and random histories with failing and cancelled calls
// after which one more run must lead to the state of a fresh start, without anything of the user's lost. A history that
// fails prints its seed; STACK_SIM_SEED plays it again, STACK_SIM_RUNS says how many to play.
package sim
