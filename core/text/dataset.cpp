// SPDX-License-Identifier: Apache-2.0
#include "core/text/dataset.h"

#include "core/base/files.h"
#include "core/base/json.h"

#include <algorithm>
#include <map>

namespace rankscope::text
{
namespace fs = std::filesystem;
namespace
{

using base::Json;

constexpr std::size_t maxChoices = 8;

bool isBlank(std::string_view text)
{
    return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

Result<Message> readMessage(const Json& json)
{
    if (!json.is_object())
        return fail("messages holds something other than objects");
    Message message;
    base::ObjectReader reader(json, "messages");
    reader.require("role").require("content").text("role", message.role).text("content", message.content);
    RANKSCOPE_CHECK(reader.finishLenient());
    if (message.role != "system" && message.role != "user" && message.role != "assistant")
        return fail("the role '" + message.role + "' is not known; roles are system, user and assistant");
    return message;
}

Status readMessages(const Json& json, Row& row)
{
    if (!json.is_array())
        return fail("messages must be a list");
    for (const auto& item : json) {
        RANKSCOPE_TRY(Message message, readMessage(item));
        row.prompt.push_back(std::move(message));
    }
    if (row.prompt.size() < 2 || row.prompt.back().role != "assistant")
        return fail("messages must end with the assistant's answer to an earlier message");
    row.output = std::move(row.prompt.back().content);
    row.prompt.pop_back();
    return {};
}

Result<Row> readRow(const Json& json)
{
    Row row;
    if (!json.is_object())
        return fail("the row is not a JSON object");
    base::ObjectReader reader(json, "");
    if (const Json* messages = reader.any("messages")) {
        RANKSCOPE_CHECK(readMessages(*messages, row));
    } else {
        std::string instruction;
        std::string input;
        if (!json.contains("instruction") && !json.contains("input"))
            return fail("the row has neither 'instruction' and 'output' nor 'messages'");
        reader.text("instruction", instruction)
            .text("input", input)
            .require("output")
            .text("output", row.output);
        RANKSCOPE_CHECK(reader.finishLenient());
        if (!instruction.empty() && !input.empty())
            instruction += "\n";
        instruction += input;
        if (isBlank(instruction))
            return fail("the row's instruction and input are empty");
        row.prompt.push_back({"user", std::move(instruction)});
    }
    if (const Json* answer = reader.any("answer"); answer && !answer->is_null()) {
        if (answer->is_string())
            row.answer = answer->get<std::string>();
        else if (answer->is_number() || answer->is_boolean())
            row.answer = answer->dump();
        else
            return fail("answer must be a text or a number");
    }
    if (isBlank(row.output)) // a few rows of the published math data have the short answer only
        row.output = row.answer;
    if (isBlank(row.output))
        return fail("the row's output is empty");
    if (row.answer.empty())
        row.answer = row.output;
    reader.texts("choices", row.choices);
    RANKSCOPE_CHECK(reader.finishLenient());
    if (json.contains("choices")) {
        if (row.choices.size() < 2)
            return fail("choices must list at least two outputs");
        for (auto choice = row.choices.begin(); choice != row.choices.end(); ++choice) {
            if (std::find(row.choices.begin(), choice, *choice) != choice)
                return fail("choices lists '" + *choice + "' twice; each must be there once");
        }
        if (std::find(row.choices.begin(), row.choices.end(), row.output) == row.choices.end())
            return fail("the row's output is not among its choices");
    }
    return row;
}

/// Where a row begins in the text.
struct Piece {
    std::size_t offset = 0;
    std::size_t size = 0;
};

/// The places of the elements of a JSON list that has been parsed already, so only brackets and quotes
/// matter.
std::vector<Piece> elementsOf(std::string_view text)
{
    std::vector<Piece> elements;
    int depth = 0;
    bool inside = false;
    base::scanOutsideStrings(text, [&](std::size_t place, char c) {
        const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
        if (depth == 1 && !inside && !space && c != ']' && c != ',') {
            elements.push_back({place, 0});
            inside = true;
        }
        if (depth == 1 && c == ',')
            inside = false;
        if (c == '[' || c == '{')
            ++depth;
        else if (c == ']' || c == '}')
            --depth;
        return true;
    });
    return elements;
}

std::vector<Piece> linesOf(std::string_view text)
{
    std::vector<Piece> lines;
    while (!text.empty() && isBlank(text.substr(text.size() - 1)))
        text.remove_suffix(1); // the last line may be followed by empty ones
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t end = std::min(text.find('\n', start), text.size());
        lines.push_back({start, end - start});
        start = end + 1;
    }
    return lines;
}

/// Counts lines forward, so that the numbers of all rows cost one pass.
class LineCounter
{
public:
    explicit LineCounter(std::string_view text) : m_text(text) {}
    std::size_t lineOf(std::size_t offset)
    {
        m_line +=
            static_cast<std::size_t>(std::count(m_text.begin() + static_cast<std::ptrdiff_t>(m_at),
                                                m_text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
        m_at = offset;
        return m_line;
    }

private:
    std::string_view m_text;
    std::size_t m_at = 0;
    std::size_t m_line = 1;
};

Result<std::vector<Row>> readList(std::string_view text, const std::string& file, std::size_t maxRows)
{
    auto json = base::parseJson(text);
    if (!json)
        return fail(json.error().within(file));
    if (!json->is_array())
        return fail(file +
                    ":1: a .json data file must be one list of rows; for one row a line name it .jsonl");
    const auto places = elementsOf(text);
    LineCounter lines(text);
    std::vector<Row> rows;
    for (std::size_t i = 0; i < json->size() && rows.size() < maxRows; ++i) {
        auto row = readRow((*json)[i]);
        if (!row) {
            const std::size_t line = i < places.size() ? lines.lineOf(places[i].offset) : 1;
            return fail(file + ":" + std::to_string(line) + ": row " + std::to_string(i + 1) + ": " +
                        row.error().message);
        }
        rows.push_back(std::move(*row));
    }
    return rows;
}

Result<std::vector<Row>> readLines(std::string_view text, const std::string& file, std::size_t maxRows)
{
    std::vector<Row> rows;
    std::size_t number = 0;
    for (const Piece& line : linesOf(text)) {
        if (rows.size() >= maxRows)
            break;
        const std::string place = file + ":" + std::to_string(++number) + ": ";
        const std::string_view content = text.substr(line.offset, line.size);
        if (isBlank(content))
            return fail(place + "the line is empty");
        const auto json = base::parseJson(content);
        if (!json)
            return fail(place + json.error().message);
        auto row = readRow(*json);
        if (!row)
            return fail(place + row.error().message);
        rows.push_back(std::move(*row));
    }
    return rows;
}

/// The choices of all the task's rows: the distinct outputs, if they are few and each one recurs. None where
/// rows list their own: a row beside them that lists none is an open one, not a choice among all of theirs.
std::vector<std::string> choicesOf(const std::vector<Row>& rows)
{
    if (std::any_of(rows.begin(), rows.end(), [](const Row& row) { return !row.choices.empty(); }))
        return {};
    std::map<std::string, std::size_t> outputs;
    for (const Row& row : rows) {
        ++outputs[row.output];
        if (outputs.size() > maxChoices)
            return {};
    }
    std::size_t single = 0;
    std::vector<std::string> choices;
    for (const auto& [output, count] : outputs) {
        choices.push_back(output);
        single += count < 2 ? 1 : 0;
    }
    // Large sets have stragglers: the test rows of ARC-Easy have one "answer5" among 2,376.
    if (choices.size() < 2 || single * 100 > rows.size())
        return {};
    return choices;
}

} // namespace

std::string taskName(const fs::path& path)
{
    const std::string stem = path.stem().string();
    if (stem != "train" && stem != "test")
        return stem;
    std::error_code code;
    const fs::path full = fs::absolute(path, code).lexically_normal();
    const std::string folder = full.parent_path().filename().string();
    return folder.empty() ? stem : folder;
}

Result<TaskFile> readTaskFile(const fs::path& path, std::int64_t maxRows)
{
    TaskFile file;
    file.path = path;
    file.task = taskName(path);
    const bool list = path.extension() == ".json";
    if (!list && path.extension() != ".jsonl")
        return fail("the data file " + path.string() +
                    " is neither .json (one list) nor .jsonl (one row a line)");
    RANKSCOPE_TRY(const std::string text, base::readFile(path));
    const auto limit = maxRows > 0 ? static_cast<std::size_t>(maxRows) : SIZE_MAX;
    RANKSCOPE_TRY(file.rows,
                  list ? readList(text, path.string(), limit) : readLines(text, path.string(), limit));
    if (file.rows.empty())
        return fail(path.string() + ":1: the file holds no rows");
    file.choices = choicesOf(file.rows);
    return file;
}

namespace
{

struct Encoded {
    std::vector<TokenId> prompt;
    std::vector<TokenId> answer;
    std::size_t droppedBytes = 0;
};

Tokenizer::Encoding encodeAnswer(const std::string& output, const Tokenizer& tokenizer,
                                 const ChatTemplate& chat)
{
    auto answer = tokenizer.encode(output);
    const std::string end = chat.endOfTurn();
    if (!end.empty()) {
        const auto ids = tokenizer.encode(end).ids;
        answer.ids.insert(answer.ids.end(), ids.begin(), ids.end());
    } else if (tokenizer.endOfText() >= 0) {
        answer.ids.push_back(tokenizer.endOfText());
    }
    return answer;
}

Encoded encode(const Row& row, const Tokenizer& tokenizer, const ChatTemplate& chat)
{
    auto prompt = tokenizer.encode(chat.prompt(row.prompt));
    auto answer = encodeAnswer(row.output, tokenizer, chat);
    return {std::move(prompt.ids), std::move(answer.ids), prompt.droppedBytes + answer.droppedBytes};
}

/// The prompt's last tokens and the answer's first.
Example join(const Encoded& encoded, std::size_t promptRoom, std::size_t answerRoom)
{
    const auto kept = static_cast<std::ptrdiff_t>(std::min(promptRoom, encoded.prompt.size()));
    const auto said = static_cast<std::ptrdiff_t>(std::min(answerRoom, encoded.answer.size()));
    Example example;
    example.promptLength = kept;
    example.ids.assign(encoded.prompt.end() - kept, encoded.prompt.end());
    example.ids.insert(example.ids.end(), encoded.answer.begin(), encoded.answer.begin() + said);
    return example;
}

} // namespace

Example makeExample(const Row& row, const Tokenizer& tokenizer, const ChatTemplate& chat,
                    std::int64_t maxLength, Omissions* omissions)
{
    const Encoded encoded = encode(row, tokenizer, chat);
    const std::size_t whole = encoded.prompt.size() + encoded.answer.size();
    const std::size_t limit = maxLength > 0 ? static_cast<std::size_t>(maxLength) : whole;
    if (omissions) {
        omissions->bytes += encoded.droppedBytes;
        omissions->rows += whole > limit ? 1 : 0;
    }
    const std::size_t half = std::min(encoded.prompt.size(), limit / 2);
    const std::size_t promptRoom = std::max(half, limit - std::min(limit, encoded.answer.size()));
    return join(encoded, promptRoom, limit - std::min(promptRoom, encoded.prompt.size()));
}

Example makeTestExample(const Row& row, const Tokenizer& tokenizer, const ChatTemplate& chat,
                        std::int64_t maxLength, Omissions* omissions)
{
    const Encoded encoded = encode(row, tokenizer, chat);
    const std::size_t limit = maxLength > 0 ? static_cast<std::size_t>(maxLength) : SIZE_MAX;
    if (omissions) {
        bool cut = encoded.prompt.size() > limit || encoded.answer.size() > limit;
        omissions->bytes += encoded.droppedBytes;
        for (const std::string& choice : row.choices) {
            if (choice == row.output)
                continue;
            const auto other = encodeAnswer(choice, tokenizer, chat);
            omissions->bytes += other.droppedBytes;
            cut = cut || other.ids.size() > limit;
        }
        omissions->rows += cut ? 1 : 0;
    }
    return join(encoded, limit, limit);
}

} // namespace rankscope::text
