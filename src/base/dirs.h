/* Folders. */
#pragma once

/* Make path and all that is missing above it. 0 (also when it was there) or -errno. */
int dirs_make(const char *path);
