// SPDX-License-Identifier: Apache-2.0
#include "core/text/pre_tokenizer.h"

#include "core/base/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

namespace rankscope::text
{
namespace
{

constexpr const char* gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* llama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* qwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* eachDigit = R"(\p{N})";

/// Unicode's White_Space, which is what `\s` means to the reference tokenizers. PCRE2's own `\s` also has
/// U+180E.
constexpr const char* whiteSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

/// Limits for patterns from outside: backtracking steps and memory (KiB) of one match.
constexpr std::uint32_t matchLimit = 2'000'000;
constexpr std::uint32_t heapLimit = 64 * 1024;

std::string withExactWhiteSpace(const std::string& pattern)
{
    std::string result;
    bool inClass = false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c != '\\' || i + 1 == pattern.size()) {
            if (c == '[')
                inClass = true;
            else if (c == ']')
                inClass = false;
            result += c;
            continue;
        }
        const char escaped = pattern[++i];
        if (escaped == 's')
            result += inClass ? std::string(whiteSpace) : "[" + std::string(whiteSpace) + "]";
        else if (escaped == 'S' && !inClass)
            result += "[^" + std::string(whiteSpace) + "]";
        else
            result += {c, escaped};
    }
    return result;
}

/// Length of the UTF-8 character at `at`; 0: the bytes there are none.
std::size_t validBytes(std::string_view text, std::size_t at)
{
    if (static_cast<unsigned char>(text[at]) < 0x80)
        return 1;
    utf8proc_int32_t point = 0;
    const auto count = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                        static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::string literal(const std::string& text)
{
    std::string escaped;
    for (const char c : text) {
        if (std::string_view(R"(\^$.[]|()?*+{}-#)").find(c) != std::string_view::npos)
            escaped += '\\';
        escaped += c;
    }
    return escaped;
}

} // namespace

struct PreTokenizer::Pattern {
    pcre2_code* code = nullptr;
    pcre2_match_context* context = nullptr;

    Pattern() = default;
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    ~Pattern()
    {
        pcre2_match_context_free(context);
        pcre2_code_free(code);
    }
};

Status PreTokenizer::addStep(const std::string& expression, bool keepMatches, bool keepGaps)
{
    const std::string exact = withExactWhiteSpace(expression);
    int error = 0;
    PCRE2_SIZE place = 0;
    auto pattern = std::make_shared<Pattern>();
    pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(exact.data()), exact.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr);
    if (!pattern->code) {
        PCRE2_UCHAR message[256] = {};
        pcre2_get_error_message(error, message, sizeof message);
        return fail("the splitting pattern '" + expression +
                    "' does not compile: " + reinterpret_cast<const char*>(message));
    }
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); // where it is refused, matching is interpreted
    pattern->context = pcre2_match_context_create(nullptr);
    if (!pattern->context)
        return fail("not enough memory for a splitting pattern");
    pcre2_set_match_limit(pattern->context, matchLimit);
    pcre2_set_heap_limit(pattern->context, heapLimit);
    m_steps.push_back({std::move(pattern), keepMatches, keepGaps});
    return {};
}

Status PreTokenizer::addJson(const base::Json& json, bool& byteLevel)
{
    if (!json.is_object())
        return fail("pre_tokenizer must be a JSON object");
    base::ObjectReader reader(json, "pre_tokenizer");
    std::string type;
    reader.require("type").text("type", type);
    RANKSCOPE_CHECK(reader.finishLenient());
    if (type == "Sequence") {
        const base::Json* parts = reader.any("pretokenizers");
        if (!parts || !parts->is_array())
            return fail("pre_tokenizer.pretokenizers must be a list");
        for (const auto& part : *parts)
            RANKSCOPE_CHECK(addJson(part, byteLevel));
        return {};
    }
    if (byteLevel)
        return fail("pre_tokenizer: nothing may follow ByteLevel, but " + type + " does");
    if (type == "Digits") {
        bool individual = false;
        reader.boolean("individual_digits", individual);
        RANKSCOPE_CHECK(reader.finishLenient());
        return addStep(individual ? eachDigit : R"(\p{N}+)");
    }
    if (type == "ByteLevel") {
        bool prefix = true;
        bool expression = true;
        reader.boolean("add_prefix_space", prefix).boolean("use_regex", expression);
        RANKSCOPE_CHECK(reader.finishLenient());
        if (prefix && !m_steps.empty())
            return fail("pre_tokenizer: ByteLevel with add_prefix_space after another step is not supported");
        m_prefixSpace = prefix;
        byteLevel = true;
        return expression ? addStep(gpt2) : Status{};
    }
    if (type == "Split") {
        std::string behavior;
        bool invert = false;
        reader.require("behavior").text("behavior", behavior).boolean("invert", invert);
        const base::Json* pattern = reader.object("pattern");
        RANKSCOPE_CHECK(reader.finishLenient());
        if (!pattern)
            return fail("pre_tokenizer.pattern is missing");
        base::ObjectReader source(*pattern, "pre_tokenizer.pattern");
        std::string expression;
        std::string plain;
        source.text("Regex", expression).text("String", plain);
        RANKSCOPE_CHECK(source.finishLenient());
        if (expression.empty() == plain.empty())
            return fail("pre_tokenizer.pattern must hold either a Regex or a String");
        if (expression.empty())
            expression = literal(plain);
        if (behavior == "Isolated")
            return addStep(expression);
        if (behavior == "Removed")
            return addStep(expression, invert, !invert);
        return fail("pre_tokenizer: the Split behavior '" + behavior +
                    "' is not supported; Isolated and Removed are");
    }
    return fail("pre_tokenizer: the type '" + type +
                "' is not supported; Sequence, Split, Digits and ByteLevel are");
}

Result<PreTokenizer> PreTokenizer::fromJson(const base::Json& json)
{
    PreTokenizer result;
    bool byteLevel = false;
    RANKSCOPE_CHECK(result.addJson(json, byteLevel));
    if (!byteLevel)
        return fail("pre_tokenizer has no ByteLevel; only byte-level tokenizers are supported");
    return result;
}

Result<base::Json> PreTokenizer::jsonForGgufName(const std::string& name)
{
    const auto byteLevel = [](bool expression) {
        return base::Json{{"type", "ByteLevel"},
                          {"add_prefix_space", false},
                          {"trim_offsets", true},
                          {"use_regex", expression}};
    };
    const auto sequence = [](base::Json first, base::Json second) {
        return base::Json{{"type", "Sequence"},
                          {"pretokenizers", base::Json::array({std::move(first), std::move(second)})}};
    };
    const auto split = [](const char* expression) {
        return base::Json{{"type", "Split"},
                          {"pattern", {{"Regex", expression}}},
                          {"behavior", "Isolated"},
                          {"invert", false}};
    };
    if (name == "smollm") // every digit first, then GPT-2's pattern on what is left
        return sequence({{"type", "Digits"}, {"individual_digits", true}}, byteLevel(true));
    if (name == "gpt-2")
        return byteLevel(true);
    if (name == "llama-bpe" || name == "llama3" || name == "llama-v3")
        return sequence(split(llama3), byteLevel(false));
    if (name == "qwen2")
        return sequence(split(qwen2), byteLevel(false));
    return fail("tokenizer.ggml.pre is '" + base::shown(name) +
                "', but supported are smollm, gpt-2, llama-bpe and qwen2");
}

Result<PreTokenizer> PreTokenizer::fromGgufName(const std::string& name)
{
    RANKSCOPE_TRY(const base::Json json, jsonForGgufName(name));
    return fromJson(json);
}

void PreTokenizer::splitOnce(const Step& step, std::string_view text, std::vector<std::string_view>& pieces)
{
    struct MatchData {
        pcre2_match_data* data;
        explicit MatchData(const pcre2_code* code) : data(pcre2_match_data_create_from_pattern(code, nullptr))
        {
        }
        MatchData(const MatchData&) = delete;
        MatchData& operator=(const MatchData&) = delete;
        ~MatchData() { pcre2_match_data_free(data); }
    };
    const MatchData match(step.pattern->code);
    const auto keep = [&](std::size_t begin, std::size_t end, bool wanted) {
        if (wanted && end > begin)
            pieces.push_back(text.substr(begin, end - begin));
    };
    std::size_t at = 0;  // where the next match is looked for
    std::size_t gap = 0; // end of the last match
    while (match.data && at < text.size()) {
        const auto attempt = [&](std::uint32_t options) {
            return pcre2_match(step.pattern->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                               options, match.data, step.pattern->context);
        };
        int count = attempt(PCRE2_NO_UTF_CHECK); // split() has checked: once, not again at each match
        if (count == PCRE2_ERROR_JIT_STACKLIMIT)
            count = attempt(PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
        if (count < 0)
            break; // no further match; or a limit was reached: the rest stays one piece, no byte is lost
        const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.data);
        if (bounds[1] <= bounds[0] || bounds[0] < at) { // an empty match splits nothing
            ++at;
            while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U)
                ++at;
            continue;
        }
        keep(gap, bounds[0], step.keepGaps);
        keep(bounds[0], bounds[1], step.keepMatches);
        at = gap = bounds[1];
    }
    keep(gap, text.size(), step.keepGaps);
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const
{
    std::vector<std::string_view> pieces;
    const auto addValid = [&](std::string_view valid) {
        if (valid.empty())
            return;
        std::vector<std::string_view> current{valid};
        for (const Step& step : m_steps) {
            std::vector<std::string_view> finer;
            finer.reserve(current.size() * 2);
            for (const std::string_view piece : current)
                splitOnce(step, piece, finer);
            current = std::move(finer);
        }
        pieces.insert(pieces.end(), current.begin(), current.end());
    };
    std::size_t start = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t valid = validBytes(text, at);
        if (valid > 0) {
            at += valid;
            continue;
        }
        addValid(text.substr(start, at - start));
        start = at;
        while (at < text.size() && validBytes(text, at) == 0)
            ++at;
        pieces.push_back(text.substr(start, at - start));
        start = at;
    }
    addValid(text.substr(start));
    return pieces;
}

} // namespace rankscope::text
