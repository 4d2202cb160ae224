package project

func check(sources []*source) Errors { return nil }
