/* What this program calls itself in reports, and the version of the JSON report's shape (reports/schema.json). */
#pragma once

#define DRAINSPEC_VERSION "0.1.0"
/* Raised only when a field is removed or changes its meaning; new fields may appear at any time. */
#define REPORT_JSON_VERSION 1
