// SPDX-License-Identifier: Apache-2.0
#include "core/text/bpe_tokenizer.h"

#include "core/text/byte_alphabet.h"

#include <cstdlib>
#include <queue>
#include <utf8proc.h>

namespace rankscope::text
{
namespace
{

constexpr std::size_t cachedWordBytes = 64;
constexpr std::size_t cachedWords = 1 << 16;

std::uint64_t pairKey(TokenId left, TokenId right)
{
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
           static_cast<std::uint32_t>(right);
}

bool isAscii(std::string_view text)
{
    for (const char c : text) {
        if (static_cast<unsigned char>(c) >= 0x80)
            return false;
    }
    return true;
}

/// Canonical composition of the valid stretches of the text; bytes that are not UTF-8 stay as they are.
std::string composed(std::string_view text)
{
    std::string result;
    const auto flush = [&](std::string_view valid) {
        if (valid.empty())
            return;
        utf8proc_uint8_t* mapped = nullptr;
        const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                                       static_cast<utf8proc_ssize_t>(valid.size()), &mapped,
                                       static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        if (size >= 0)
            result.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
        else
            result += valid;
        std::free(mapped); // utf8proc allocates with malloc
    };
    std::size_t start = 0;
    for (std::size_t at = 0; at < text.size();) {
        utf8proc_int32_t point = 0;
        const auto count = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                            static_cast<utf8proc_ssize_t>(text.size() - at), &point);
        if (count > 0) {
            at += static_cast<std::size_t>(count);
            continue;
        }
        flush(text.substr(start, at - start));
        result += text[at];
        start = ++at;
    }
    flush(text.substr(start));
    return result;
}

} // namespace

Status BpeTokenizer::setVocabulary(std::vector<std::string> tokens)
{
    m_tokens = std::move(tokens);
    m_ids.reserve(m_tokens.size());
    for (std::size_t id = 0; id < m_tokens.size(); ++id) {
        if (!m_tokens[id].empty() && !m_ids.emplace(m_tokens[id], static_cast<TokenId>(id)).second)
            return fail("the vocabulary has the token '" + m_tokens[id] + "' twice");
    }
    for (std::size_t byte = 0; byte < m_byteIds.size(); ++byte)
        m_byteIds[byte] = find(byteToCharacter(static_cast<std::uint8_t>(byte)));
    m_special.assign(m_tokens.size(), false);
    return {};
}

Status BpeTokenizer::addMerge(std::string_view left, std::string_view right, std::int32_t rank)
{
    const TokenId leftId = find(left);
    const TokenId rightId = find(right);
    const TokenId result = find(std::string(left) + std::string(right));
    if (leftId < 0 || rightId < 0 || result < 0)
        return fail("the merge '" + std::string(left) + " " + std::string(right) +
                    "' names a token that is not in the vocabulary");
    m_merges[pairKey(leftId, rightId)] = {rank, result};
    return {};
}

Status BpeTokenizer::addAddedToken(AddedToken token)
{
    const auto id = static_cast<std::size_t>(token.id);
    if (id >= m_tokens.size()) {
        m_tokens.resize(id + 1);
        m_special.resize(id + 1, false);
    }
    if (m_tokens[id].empty()) {
        m_tokens[id] = token.content;
        m_ids.emplace(token.content, token.id);
    } else if (m_tokens[id] != token.content) {
        return fail("the added token '" + token.content + "' has the id of '" + m_tokens[id] + "'");
    }
    m_special[id] = token.special;
    m_added.add(std::move(token));
    return {};
}

void BpeTokenizer::finish(const std::string& endOfText)
{
    for (const std::string& token : m_tokens)
        m_bytes.push_back(charactersToBytes(token));
    if (m_endOfText < 0 && !endOfText.empty())
        m_endOfText = find(endOfText);
    for (const char* name : {"<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "</s>"}) {
        if (m_endOfText < 0)
            m_endOfText = find(name);
    }
}

TokenId BpeTokenizer::find(std::string_view token) const
{
    const auto found = m_ids.find(token);
    return found == m_ids.end() ? -1 : found->second;
}

Tokenizer::Encoding BpeTokenizer::encode(std::string_view text, bool parseSpecial) const
{
    Encoding out;
    for (const auto& section : m_added.split(text, false, parseSpecial)) {
        if (section.token) {
            out.ids.push_back(section.token->id);
            continue;
        }
        std::string normal;
        std::string_view content = section.text;
        if (m_composeNfc && !isAscii(content)) {
            normal = composed(content);
            content = normal;
        }
        for (const auto& inner : m_added.split(content, true, parseSpecial)) {
            if (inner.token)
                out.ids.push_back(inner.token->id);
            else
                encodeText(inner.text, out);
        }
    }
    return out;
}

void BpeTokenizer::encodeText(std::string_view text, Encoding& out) const
{
    std::string prefixed;
    if (m_preTokenizer.prefixSpace() && !text.starts_with(' ')) {
        prefixed = " " + std::string(text);
        text = prefixed;
    }
    for (const std::string_view word : m_preTokenizer.split(text))
        encodeWord(word, out);
}

void BpeTokenizer::encodeWord(std::string_view word, Encoding& out) const
{
    const bool cacheable = word.size() <= cachedWordBytes;
    if (cacheable) {
        const std::lock_guard lock(m_cacheMutex);
        if (const auto found = m_cache.find(word); found != m_cache.end()) {
            out.ids.insert(out.ids.end(), found->second.begin(), found->second.end());
            return;
        }
    }
    std::size_t dropped = 0;
    const std::vector<TokenId> ids = mergeWord(word, dropped);
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.droppedBytes += dropped;
    if (cacheable && dropped == 0) {
        const std::lock_guard lock(m_cacheMutex);
        if (m_cache.size() < cachedWords)
            m_cache.emplace(word, ids);
    }
}

/// The pair of lowest rank merges first, of equal ones the leftmost; a queue of pairs over a linked list of
/// symbols, so a long word costs n log n.
std::vector<TokenId> BpeTokenizer::mergeWord(std::string_view word, std::size_t& dropped) const
{
    if (m_ignoreMerges) {
        std::string characters;
        for (const char c : word)
            characters += byteToCharacter(static_cast<std::uint8_t>(c));
        if (const TokenId whole = find(characters); whole >= 0)
            return {whole};
    }
    struct Symbol {
        TokenId id;
        std::ptrdiff_t previous;
        std::ptrdiff_t next;
    };
    std::vector<Symbol> symbols;
    symbols.reserve(word.size());
    for (const char c : word) {
        const TokenId id = m_byteIds[static_cast<std::uint8_t>(c)];
        if (id < 0) { // as in the reference: the byte vanishes and its neighbours meet; here it is counted
            ++dropped;
            continue;
        }
        const auto at = static_cast<std::ptrdiff_t>(symbols.size());
        symbols.push_back({id, at - 1, at + 1});
    }
    const auto end = static_cast<std::ptrdiff_t>(symbols.size());
    const auto symbol = [&](std::ptrdiff_t at) -> Symbol& { return symbols[static_cast<std::size_t>(at)]; };

    struct Candidate {
        std::int32_t rank;
        std::ptrdiff_t left;
        TokenId leftId;
        TokenId rightId;
        TokenId result;
        bool operator>(const Candidate& other) const
        {
            return std::pair(rank, left) > std::pair(other.rank, other.left);
        }
    };
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto offer = [&](std::ptrdiff_t left) {
        if (left < 0 || symbol(left).next >= end)
            return;
        const TokenId leftId = symbol(left).id;
        const TokenId rightId = symbol(symbol(left).next).id;
        if (const auto found = m_merges.find(pairKey(leftId, rightId)); found != m_merges.end())
            queue.push({found->second.rank, left, leftId, rightId, found->second.result});
    };
    for (std::ptrdiff_t at = 0; at < end; ++at)
        offer(at);
    while (!queue.empty()) {
        const Candidate best = queue.top();
        queue.pop();
        Symbol& left = symbol(best.left);
        // A candidate is stale when one of its two symbols has merged since (merged-away symbols have id -1).
        if (left.id != best.leftId || left.next >= end || symbol(left.next).id != best.rightId)
            continue;
        Symbol& right = symbol(left.next);
        left.id = best.result;
        left.next = right.next;
        right.id = -1;
        if (left.next < end)
            symbol(left.next).previous = best.left;
        offer(left.previous);
        offer(best.left);
    }
    std::vector<TokenId> ids;
    for (std::ptrdiff_t at = 0; at < end; at = symbol(at).next)
        ids.push_back(symbol(at).id);
    return ids;
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids, bool skipSpecial) const
{
    std::string text;
    for (const TokenId id : ids) {
        const auto index = static_cast<std::size_t>(id);
        if (id < 0 || index >= m_bytes.size() || (skipSpecial && m_special[index]))
            continue;
        text += m_bytes[index];
    }
    return text;
}

} // namespace rankscope::text
