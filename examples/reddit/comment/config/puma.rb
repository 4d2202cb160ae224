port 9292
threads 1, 8
