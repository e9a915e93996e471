// SPDX-License-Identifier: Apache-2.0
// The rule by which a generated text counts as right; README.md beside this file states it for users.
#include "core/text/dataset.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

namespace rankscope::text
{
namespace
{

bool isLetter(char c)
{
    return std::isalpha(static_cast<unsigned char>(c)) != 0 ||
           static_cast<unsigned char>(c) >= 0x80; // any of UTF-8
}

bool isDigit(char c)
{
    return c >= '0' && c <= '9';
}

/// Lower case (ASCII), every run of white space one blank, none at the ends.
std::string folded(std::string_view text)
{
    std::string result;
    for (const char c : text) {
        if (std::isspace(static_cast<unsigned char>(c))) {
            if (!result.empty() && result.back() != ' ')
                result += ' ';
        } else {
            result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        }
    }
    if (!result.empty() && result.back() == ' ')
        result.pop_back();
    return result;
}

/// The number that begins at `at` ("-1,234.50"), and where it ends. A sign counts only where it cannot be a
/// minus between two terms; a point only before a digit.
std::optional<double> numberAt(std::string_view text, std::size_t at, std::size_t& end)
{
    std::string digits;
    std::size_t i = at;
    if (text[i] == '-' || text[i] == '+') {
        if (i > 0 && (isDigit(text[i - 1]) || isLetter(text[i - 1]) || text[i - 1] == ')'))
            return std::nullopt;
        if (text[i] == '-')
            digits += '-';
        ++i;
    }
    if (i >= text.size() ||
        (!isDigit(text[i]) && !(text[i] == '.' && i + 1 < text.size() && isDigit(text[i + 1]))))
        return std::nullopt;
    const auto groupFollows = [&](std::size_t comma) {
        return comma + 3 < text.size() && isDigit(text[comma + 1]) && isDigit(text[comma + 2]) &&
               isDigit(text[comma + 3]) && (comma + 4 >= text.size() || !isDigit(text[comma + 4]));
    };
    bool point = false;
    for (; i < text.size(); ++i) {
        if (isDigit(text[i])) {
            digits += text[i];
        } else if (text[i] == ',' && !point && groupFollows(i)) {
            continue;
        } else if (text[i] == '.' && !point && i + 1 < text.size() && isDigit(text[i + 1])) {
            point = true;
            digits += '.';
        } else {
            break;
        }
    }
    end = i;
    double value = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || rest != digits.data() + digits.size())
        return std::nullopt;
    return value;
}

std::optional<double> lastNumber(std::string_view text)
{
    std::optional<double> last;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at + 1;
        const bool insideWord = at > 0 && isLetter(text[at - 1]) && isDigit(text[at]); // the 3 of "answer3"
        if (const auto value = numberAt(text, at, end)) {
            if (!insideWord)
                last = value;
        }
        at = end;
    }
    return last;
}

/// The whole text as a number.
std::optional<double> asNumber(std::string_view text)
{
    std::size_t end = 0;
    if (text.empty())
        return std::nullopt;
    const auto value = numberAt(text, 0, end);
    return value && end == text.size() ? value : std::nullopt;
}

std::vector<std::string> wordsOf(std::string_view text)
{
    std::vector<std::string> words;
    bool open = false;
    for (const char c : text) {
        const bool part = isLetter(c) || isDigit(c) || c == '_';
        if (part && !open)
            words.emplace_back();
        if (part)
            words.back() += c;
        open = part;
    }
    return words;
}

/// A word as letters and a number after them; the number may be missing.
std::pair<std::string_view, std::string_view> stemAndNumber(std::string_view word)
{
    std::size_t end = word.size();
    while (end > 0 && isDigit(word[end - 1]))
        --end;
    return {word.substr(0, end), word.substr(end)};
}

/// Words that could stand where the answer stands. Both are folded to lower case but for single letters.
bool sameKind(const std::string& word, const std::string& answer, const Row& row)
{
    const auto [answerStem, answerNumber] = stemAndNumber(answer);
    if (!answerStem.empty() && !answerNumber.empty()) { // answer1, option2
        const auto [stem, number] = stemAndNumber(word);
        return stem == answerStem && !number.empty();
    }
    if (answer == "true" || answer == "false")
        return word == "true" || word == "false";
    if (answer == "yes" || answer == "no")
        return word == "yes" || word == "no";
    for (const std::string& choice : row.choices) {
        if (folded(choice) == word)
            return true;
    }
    return word == answer || row.choices.empty();
}

} // namespace

bool answers(std::string_view generated, const Row& row)
{
    const std::string said = folded(generated);
    const std::string answer = folded(row.answer);
    if (said == folded(row.output) || (!answer.empty() && said == answer))
        return true;
    if (const auto expected = asNumber(answer)) {
        const auto value = lastNumber(said);
        return value && std::abs(*value - *expected) <= 1e-6 * std::max(1.0, std::abs(*expected));
    }
    if (answer.empty() || wordsOf(answer).size() != 1 || wordsOf(answer).front() != answer)
        return false;

    // A single capital letter names a choice; lower-case "a" is an article, so case counts here.
    const auto letters = wordsOf(row.answer);
    if (answer.size() == 1 && letters.front().front() >= 'A' && letters.front().front() <= 'Z') {
        std::string last;
        for (const std::string& word : wordsOf(generated)) {
            if (word.size() == 1 && word.front() >= 'A' && word.front() <= 'Z' && word != "I")
                last = word;
        }
        return last == letters.front();
    }
    std::string last;
    for (const std::string& word : wordsOf(said)) {
        if (sameKind(word, answer, row))
            last = word;
    }
    return last == answer;
}

} // namespace rankscope::text
