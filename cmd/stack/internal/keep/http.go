package keep

import (
	"encoding/json"
	"net/http"
	"strings"

	"stackrun.dev/stack/cmd/stack/internal/launch"
)

// Path is where a Keeper answers: GET lists what is kept; PUT and DELETE of Path/NAME begin and end it; POST to Path/NAME/hold
// lets the loop rest from the answer on until the caller closes the connection.
const Path = launch.GuestPath

// maxEntry bounds an entry, in bytes: an environment may be large.
const maxEntry = 16 << 20

// ServeHTTP implements http.Handler.
func (k *Keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	project, hold := strings.CutSuffix(strings.Trim(strings.TrimPrefix(r.URL.Path, Path), "/"), "/hold")
	switch {
	case project == "" && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(k.List()) // whoever asked may have gone
	case !nameable.MatchString(project):
		http.Error(w, "there is no such thing", http.StatusNotFound)
	case hold && r.Method == http.MethodPost:
		release := k.Hold(project)
		defer release()
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case r.Method == http.MethodPut:
		e := Entry{Project: project}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxEntry)).Decode(&e); err != nil || e.Project != project {
			http.Error(w, "that is no entry of project "+project, http.StatusBadRequest)
			return
		}
		answer(w, k.Put(e))
	case r.Method == http.MethodDelete:
		answer(w, k.Delete(project))
	default:
		http.Error(w, "that cannot be done", http.StatusMethodNotAllowed)
	}
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
