// SPDX-License-Identifier: Apache-2.0
// Every op: values and gradients against plain tensor algebra in float64, float32 and bfloat16, gradients
// against finite differences, and its CPU implementation against the one that other backends fall back to,
// also where the tensors lie on another device.
#include "tests/parity/kernels/op_case.h"

#include <iostream>
#include <string>

/// Arguments: names of ops to check; none: all.
int main(int count, char** arguments)
{
    bool held = true;
    for (auto* cases : {&rankscope::parity::denseCases, &rankscope::parity::expertCases}) {
        for (const auto& op : cases()) {
            bool wanted = count == 1;
            for (int i = 1; i < count; ++i)
                wanted = wanted || op->name() == arguments[i];
            if (wanted)
                held = rankscope::parity::check(*op) && held;
        }
    }
    return held ? 0 : 1;
}
