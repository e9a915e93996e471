// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/message_strip.h"

#include "app/workbench/icons.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QToolButton>

namespace rankscope::workbench
{

namespace
{
constexpr int mostMessages = 4; ///< the oldest go first
}

MessageStrip::MessageStrip(QWidget* parent)
    : QFrame(parent),
      m_icon(new QLabel(this)),
      m_text(new QLabel(this)),
      m_dismiss(new QToolButton(this))
{
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::Base);
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(12, 6, 8, 6);
    row->setSpacing(8);
    row->addWidget(m_icon, 0, Qt::AlignTop);
    row->addWidget(m_text, 1);
    row->addWidget(m_dismiss, 0, Qt::AlignTop);
    m_text->setProperty("role", "error");
    m_text->setWordWrap(true);
    m_text->setTextFormat(Qt::PlainText);
    m_text->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_text->setAccessibleName(tr("What went wrong"));
    m_dismiss->setText(tr("Dismiss"));
    m_dismiss->setAutoRaise(true);
    m_dismiss->setToolTip(tr("Take this message away"));
    connect(m_dismiss, &QToolButton::clicked, this, &MessageStrip::dismiss);
    refreshIcons();
    hide();
}

void MessageStrip::add(const QString& message)
{
    m_messages.removeAll(message);
    m_messages << message;
    if (m_messages.size() > mostMessages)
        m_messages.removeFirst();
    m_text->setText(m_messages.join(QLatin1Char('\n')));
    show();
}

void MessageStrip::dismiss()
{
    m_messages.clear();
    hide();
}

void MessageStrip::refreshIcons()
{
    m_icon->setPixmap(icon(QStringLiteral("warning")).pixmap(16, 16));
}

} // namespace rankscope::workbench
