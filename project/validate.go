package project

func validate(p *Project) Errors { return nil }
