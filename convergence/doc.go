// Package convergence makes an engine have what a project wants: observe, plan, execute, and again, until the plan is empty.
//
// The rooms: desired says what is wanted, observe reads what is there into state, plan compares the two and says what to
// do, execute does it. Only observe and execute speak to an engine. sim runs all of them against an engine in memory that
// fails on purpose.
//
// Nothing here polls: waits within a round wake on the engine's events, and rounds follow each other at once.
package convergence
