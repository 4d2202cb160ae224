package reader

import (
	"bytes"
	"io"
	"os"
)

// tailOffset returns where the last n lines of the first size bytes of f begin, counting only lines that count accepts,
// and how many of the n it did not find. It reads from the end and no further than it must.
func tailOffset(f *os.File, size int64, n int, count func(line []byte) bool) (int64, int, error) {
	var data []byte // the bytes of the file from base on that are not yet counted
	for base := size; base > 0; {
		chunk := min(base, chunkSize)
		base -= chunk
		data = append(make([]byte, chunk, int(chunk)+len(data)), data...)
		if _, err := f.ReadAt(data[:chunk], base); err != nil && err != io.EOF {
			return 0, 0, err
		}
		for len(data) > 0 {
			newline := bytes.LastIndexByte(data[:len(data)-1], '\n')
			if newline < 0 && base > 0 {
				break
			}
			if count(bytes.TrimSuffix(data[newline+1:], []byte{'\n'})) {
				if n--; n == 0 {
					return base + int64(newline) + 1, 0, nil
				}
			}
			data = data[:newline+1]
		}
		if len(data) > maxLine {
			data = data[len(data)-1:] // damage: only where it ends still matters
		}
	}
	return 0, n, nil
}
