// SPDX-License-Identifier: GPL-3.0-or-later
// write_sample_run FAMILY FILE.h5: a sample run as a snapshot, to look at the views with.
#include "core/record/snapshot.h"
#include "tests/gui/sample_run.h"

#include <cstdio>

int main(int argc, char** argv)
{
    if (argc != 3) {
        std::fputs("usage: write_sample_run mixlora|opera|lora FILE.h5\n", stderr);
        return 2;
    }
    rankscope::tests::SampleOptions options;
    options.family = argv[1];
    const auto status = rankscope::record::writeSnapshot(rankscope::tests::sampleRun(options), argv[2]);
    if (!status)
        std::fprintf(stderr, "%s\n", status.error().message.c_str());
    return status ? 0 : 1;
}
