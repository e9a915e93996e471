// SPDX-License-Identifier: Apache-2.0
// Fine-tuning rows: from JSON or JSON Lines to token sequences with the loss on the answer, by task.
#pragma once

#include "core/base/result.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace rankscope::text
{

/// One row as written: `instruction, input, output, answer` or `messages`.
struct Row {
    std::vector<Message> prompt; ///< everything before the answer
    std::string output;          ///< what the model should say; the loss is on this
    std::string answer; ///< the short form that evaluation compares; output if absent (and vice versa)
    std::vector<std::string> choices; ///< possible outputs, if the row lists them ("choices")
};

/// One file is one task.
struct TaskFile {
    std::filesystem::path path;
    std::string task; ///< the file's stem, or its folder's name where the stem is train or test
    std::vector<Row> rows;
    /// The outputs to compare by likelihood for rows that list none of their own: all distinct outputs if no
    /// row lists any, there are 2 to 8 and each occurs at least twice (of many rows, one in a hundred may
    /// have an output of its own). Empty: such rows are open answers, decoded greedily.
    std::vector<std::string> choices;
};

/// Reads a .json (one list) or .jsonl file. An empty file, or a row that is empty or malformed, is an error
/// that names file and line ("train.jsonl:17: ...").
Result<TaskFile> readTaskFile(const std::filesystem::path& path, std::int64_t maxRows = 0);

/// The name that readTaskFile gives to the task of that file.
std::string taskName(const std::filesystem::path& path);

/// A row as tokens: ids = prompt + answer + end of turn; the loss is on ids[promptLength..].
struct Example {
    std::vector<TokenId> ids;
    std::int64_t promptLength = 0;
    std::int32_t task = 0; ///< index among the run's tasks
    std::int64_t row = 0;  ///< index in its file
};

/// What rows lost on their way to tokens.
struct Omissions {
    std::size_t bytes = 0; ///< of text that the vocabulary cannot express
    std::size_t rows = 0;  ///< longer than they may be, and cut
};

/// Tokens of prompt and answer in the model's chat template. A row longer than `maxLength` (0: any length)
/// loses the front of its prompt, down to half of `maxLength`, and then the end of its answer. `omissions`
/// adds up.
Example makeExample(const Row& row, const Tokenizer& tokenizer, const ChatTemplate& chat,
                    std::int64_t maxLength, Omissions* omissions = nullptr);

/// The same to test with: how much of the prompt the model sees does not depend on the answer it should give.
/// Prompt and answer are each cut by themselves, the prompt at its front, the answer at its end. `omissions`
/// adds up, with those of the other outputs that the row lists.
Example makeTestExample(const Row& row, const Tokenizer& tokenizer, const ChatTemplate& chat,
                        std::int64_t maxLength, Omissions* omissions = nullptr);

/// Does a decoded text answer the row? Equal to output or answer after trimming and folding case and space;
/// where the answer is a number, the last number in the text equals it; where the answer is one word, the
/// text's own last match among words of that kind equals it. The rule is documented in README.md beside this
/// file.
bool answers(std::string_view generated, const Row& row);

} // namespace rankscope::text
