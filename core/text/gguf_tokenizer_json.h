// SPDX-License-Identifier: Apache-2.0
// The tokenizer of a GGUF as the files that Hugging Face's libraries read.
#pragma once

#include "core/base/json.h"
#include "core/base/result.h"
#include "core/checkpoint/gguf.h"

namespace rankscope::text
{

struct TokenizerJson {
    base::Json tokenizer; ///< tokenizer.json
    base::Json config;    ///< tokenizer_config.json, with the chat template where the GGUF has one
};

/// Errors: a tokenizer that is no byte-level BPE, or whose way of cutting text is not known.
Result<TokenizerJson> tokenizerJson(const checkpoint::GgufFile& file);

} // namespace rankscope::text
