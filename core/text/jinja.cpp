// SPDX-License-Identifier: Apache-2.0
#include "core/text/jinja.h"

#include "core/text/jinja_expression.h"

namespace rankscope::text
{
namespace
{

using base::Json;

constexpr std::size_t maxSteps = 100'000;
constexpr std::size_t longestRendering = std::size_t{1} << 20;
constexpr int maxNesting = 100;

class Rendering
{
public:
    Rendering(std::vector<JinjaPiece> pieces, const Json& variables) : m_pieces(std::move(pieces))
    {
        m_scopes.push_back(variables);
    }

    std::string whole()
    {
        write(0, m_pieces.size());
        return std::move(m_text);
    }

private:
    [[nodiscard]] JinjaExpression expression(std::size_t piece, std::size_t token)
    {
        spend(m_pieces[piece].tokens.size());
        return {std::span(m_pieces[piece].tokens).subspan(token), [this](const std::string& name) {
                    const Json* found = variable(name);
                    return found ? *found : jinjaUndefined;
                }};
    }

    void spend(std::size_t steps)
    {
        m_steps += steps;
        if (m_steps > maxSteps)
            throw JinjaUnknown("too long a way");
    }

    /// The word that a statement begins with; empty of the other pieces.
    [[nodiscard]] const std::string& word(std::size_t piece) const
    {
        static const std::string none;
        const JinjaPiece& at = m_pieces[piece];
        return at.kind == JinjaPiece::Kind::Statement ? at.tokens.front().text : none;
    }

    Json* variable(const std::string& name)
    {
        for (auto scope = m_scopes.rbegin(); scope != m_scopes.rend(); ++scope) {
            if (const auto found = scope->find(name); found != scope->end())
                return &*found;
        }
        return nullptr;
    }

    /// The first of the statements that divide or end the block which `from` stands in.
    [[nodiscard]] std::size_t next(std::size_t from, std::size_t end, const std::string& closing)
    {
        int depth = 0;
        for (std::size_t i = from; i < end; ++i) {
            spend(1);
            const std::string& at = word(i);
            if (depth == 0 && (at == closing || at == "else" || at == "elif"))
                return i;
            if (at == "if" || at == "for")
                ++depth;
            else if (at == "endif" || at == "endfor")
                --depth;
        }
        throw JinjaUnknown("a block without an end");
    }

    void write(std::size_t begin, std::size_t end)
    {
        if (++m_nesting > maxNesting)
            throw JinjaUnknown("too deep a nesting");
        for (std::size_t i = begin; i < end;)
            i = writePiece(i, end);
        --m_nesting;
    }

    /// Returns the piece to go on with.
    std::size_t writePiece(std::size_t i, std::size_t end)
    {
        spend(1);
        if (m_text.size() > longestRendering)
            throw JinjaUnknown("too long a text");
        const JinjaPiece& piece = m_pieces[i];
        if (piece.kind == JinjaPiece::Kind::Text) {
            m_text += piece.text;
        } else if (piece.kind == JinjaPiece::Kind::Output) {
            auto what = expression(i, 0);
            m_text += jinjaText(what.whole());
            finish(what);
        } else if (word(i) == "if") {
            return writeIf(i, end);
        } else if (word(i) == "for") {
            return writeFor(i, end);
        } else if (word(i) == "set") {
            set(i);
        } else if (word(i) != "generation" && word(i) != "endgeneration") { // these mark, and write nothing
            throw JinjaUnknown("the statement " + word(i));
        }
        return i + 1;
    }

    static void finish(const JinjaExpression& read)
    {
        if (!read.atEnd())
            throw JinjaUnknown("more than an expression");
    }

    std::size_t writeIf(std::size_t at, std::size_t end)
    {
        bool done = false;
        while (word(at) != "endif") {
            const std::size_t stop = next(at + 1, end, "endif");
            bool holds = !done;
            if (holds && word(at) != "else") {
                auto condition = expression(at, 1);
                holds = isTrue(condition.whole());
                finish(condition);
            }
            if (holds)
                write(at + 1, stop);
            done = done || holds;
            at = stop;
        }
        return at + 1;
    }

    std::size_t writeFor(std::size_t at, std::size_t end)
    {
        const std::size_t stop = next(at + 1, end, "endfor");
        if (word(stop) != "endfor")
            throw JinjaUnknown("a loop with else");
        auto head = expression(at, 1);
        std::vector<std::string> names{head.name()};
        while (head.take(","))
            names.push_back(head.name());
        head.expect("in");
        const Json list = head.either();
        finish(head); // a condition on the items is beyond it
        if (!list.is_array())
            throw JinjaUnknown("a loop over what is no list");
        for (std::size_t i = 0; i < list.size(); ++i) {
            Json scope = {{"loop",
                           {{"index", i + 1},
                            {"index0", i},
                            {"first", i == 0},
                            {"last", i + 1 == list.size()},
                            {"length", list.size()}}}};
            if (names.size() == 1) {
                scope[names[0]] = list[i];
            } else {
                if (!list[i].is_array() || list[i].size() != names.size())
                    throw JinjaUnknown("items of another size than their names");
                for (std::size_t part = 0; part < names.size(); ++part)
                    scope[names[part]] = list[i][part];
            }
            if (i > 0)
                scope["loop"]["previtem"] = list[i - 1];
            if (i + 1 < list.size())
                scope["loop"]["nextitem"] = list[i + 1];
            m_scopes.push_back(std::move(scope));
            write(at + 1, stop);
            m_scopes.pop_back();
        }
        return stop + 1;
    }

    void set(std::size_t at)
    {
        auto statement = expression(at, 1);
        const std::string name = statement.name();
        const std::string member = statement.take(".") ? statement.name() : std::string();
        statement.expect("=");
        Json value = statement.whole();
        finish(statement);
        if (member.empty()) {
            m_scopes.back()[name] = std::move(value);
            return;
        }
        Json* owner = variable(name);
        if (!owner || !owner->is_object() || (value.is_structured() && !value.empty()))
            throw JinjaUnknown("a member of what is no namespace, or one with members");
        (*owner)[member] = std::move(value);
    }

    std::vector<JinjaPiece> m_pieces;
    std::vector<Json> m_scopes; ///< of the template and of each loop
    std::string m_text;
    std::size_t m_steps = 0;
    int m_nesting = 0;
};

} // namespace

std::optional<std::string> renderJinja(std::string_view jinja, const base::Json& variables)
{
    try {
        return Rendering(cutJinja(jinja), variables).whole();
    } catch (const JinjaUnknown&) {
        return std::nullopt;
    }
}

} // namespace rankscope::text
