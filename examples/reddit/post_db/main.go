// Command post_db is a database that speaks MongoDB's protocol and keeps its data in SQLite files: FerretDB as a library.
// It stands in for the mongo image where no registry can be reached.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: env("POST_DB_LISTEN", "0.0.0.0:27017")},
		Handler:   "sqlite",
		SQLiteURL: "file:" + env("POST_DB_DATA", "/data/db") + "/",
	})
	if err != nil {
		log.Fatalf("cannot start the database: %v", err)
	}
	log.Printf("listening on %s", env("POST_DB_LISTEN", "0.0.0.0:27017"))
	if err := db.Run(ctx); err != nil {
		log.Fatalf("the database failed: %v", err)
	}
}

func env(name, or string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return or
}
