// Package view turns what commands have to say into text and JSON: progress, tables, logs, plans and errors. It is
// handed values and writers and knows nothing about engines, projects' files, or what a command is about to do.
package view
