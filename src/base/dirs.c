#include "base/dirs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

int dirs_make(const char *path)
{
	char part[PATH_MAX];

	/* nearly always only the last one is missing */
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return 0;
	if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
		return -ENAMETOOLONG;
	for (char *p = part + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			mkdir(part, 0777);
			*p = '/';
		}
	return mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
}
